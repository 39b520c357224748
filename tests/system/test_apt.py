from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import Failure
from tasks.settings import load
from tasks.system import apt, apt_sources, run
from tasks.system.apt import Archive
from tasks.system.apt_sources import Source

needs_apt = pytest.mark.skipif(
    not all(map(shutil.which, ("apt-get", "dpkg-deb", "gpg"))), reason="needs Debian and gpg"
)
DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://deb.debian.org/debian
# snapshot
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://other.example.org/apt
Suites: bookworm
Components: stable
Enabled: no

Types: deb
URIs: https://third.example.org/apt
Suites: bookworm-tools
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINB
 -----END PGP PUBLIC KEY BLOCK-----
"""
ONE_LINE = """\
# deb http://old.example.org/debian buster main
deb [arch=amd64 signed-by=/k.gpg] http://deb.debian.org/debian-security bookworm-security main # x
deb-src [arch=amd64 signed-by=/k.gpg] http://deb.debian.org/debian-security bookworm-security main
deb http://flat.example.org/ ./
"""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MAIN = Source("http://deb.debian.org/debian", "bookworm bookworm-updates", "main contrib", KEYRING)
SECURITY = Source("http://deb.debian.org/debian-security", "bookworm-security", "main", "/k.gpg")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc/sources.list.d").mkdir(parents=True)
    (tmp_path / "etc/sources.list").write_text(ONE_LINE)
    (tmp_path / "etc/sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "etc/sources.list.d/off.list.disabled").write_text(ONE_LINE)
    return tmp_path / "etc"


@pytest.fixture
def debian(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = apt_sources.system_sources(etc)
    monkeypatch.setattr(apt_sources, "system_sources", lambda: found)
    monkeypatch.setattr(apt_sources, "_code_names", lambda: ["bookworm"])


def test_both_file_formats_are_read(etc: Path) -> None:
    security, main, third = apt_sources.system_sources(etc)
    assert (security, main) == (SECURITY, MAIN)
    assert third.signed_by.splitlines()[1:3] == [" .", " mQINB"]
    assert "Signed-By: -----BEGIN" in third.stanza(["deb"])


def test_only_suites_of_the_systems_release_are_used(debian: None) -> None:
    assert apt_sources.select("", (), system=True) == [SECURITY, MAIN]


def test_further_suites_come_from_the_same_archive(debian: None) -> None:
    further = Source(MAIN.uris, "bullseye", "main", MAIN.signed_by)
    assert apt_sources.select("", ("bullseye",), system=False) == [further]
    assert apt_sources.select("", ("bullseye",), system=True) == [SECURITY, MAIN, further]


def test_a_mirror_replaces_the_systems_archive(debian: None) -> None:
    mirror = "http://mirror.example.org/debian"
    main, further = apt_sources.select(mirror, ("bullseye",), system=True)
    assert (main.uris, main.suites, main.components) == (mirror, "bookworm", "main")
    assert (further.uris, further.signed_by) == (mirror, KEYRING)


def test_further_suites_come_from_debian_also_on_ubuntu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri, components = "http://archive.ubuntu.com/ubuntu", "main universe"
    found = Source(uri, "noble noble-updates noble-backports", components, "u")
    ubuntu = Source(uri, "noble noble-updates", components, "u")
    monkeypatch.setattr(apt_sources, "system_sources", lambda: [found])
    monkeypatch.setattr(apt_sources, "_code_names", lambda: ["noble"])
    main, further = apt_sources.select("", ("bullseye",), system=True)
    assert main == ubuntu
    assert (further.uris, further.signed_by != "u") == (apt_sources.DEBIAN, True)


def test_a_system_without_sources_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt_sources, "system_sources", list)
    monkeypatch.setattr(apt_sources, "_code_names", list)
    with pytest.raises(Failure) as caught:
        apt_sources.select("", (), system=True)
    assert "mirror.apt" in caught.value.hint


def configured(tmp_path: Path, **environ: str) -> load.Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path / "home"), **environ}, file=tmp_path / "no")


def test_without_apt_the_failure_names_other_settings(
    tmp_path: Path, debian: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match="apt-get is not installed") as caught:
        Archive(configured(tmp_path)).update()
    for key in ("origin.git", "origin.path", "mirror.goproxy", "mirror.go"):
        assert key in caught.value.hint


class Repository:
    """A signed Debian archive of one suite, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.keyring = folder, folder / "key.gpg"
        self.home = folder / "gnupg"
        self.home.mkdir(parents=True, mode=0o700)
        self.gpg("--passphrase", "", "--quick-generate-key", "t@example.org", "ed25519", "sign")
        self.gpg("--output", str(self.keyring), "--export")
        self.dist = folder / "debian/dists/stable"
        self.pool = folder / "debian/pool"
        for name in ("main/binary-amd64", "main/binary-arm64", "main/source"):
            (self.dist / name).mkdir(parents=True)
        self.pool.mkdir()
        packages = "".join(self.deb("hello", version) for version in ("1.15.2-1", "1.15.15-1~d11"))
        sources = "".join(self.source("hello", v) for v in ("1.2-1", "1:0.9-1", "1.10-1"))
        for arch in ("amd64", "arm64"):
            (self.dist / f"main/binary-{arch}/Packages").write_text(packages)
        (self.dist / "main/source/Sources").write_text(sources)
        self.sign()

    def gpg(self, *words: str) -> None:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--yes", *words]
        subprocess.run(argv, check=True, capture_output=True)

    def deb(self, name: str, version: str) -> str:
        tree = self.folder / "tree" / version
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "usr/bin").mkdir(parents=True)
        (tree / "usr/bin/hello").write_text(version)
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: t <t@example.org>\nDescription: hello\n"
        )
        (tree / "DEBIAN/control").write_text(control)
        deb = self.pool / f"{name}_{version}.deb"
        subprocess.run(["dpkg-deb", "-b", str(tree), str(deb)], check=True, capture_output=True)
        return f"{control}Filename: pool/{deb.name}\n{self.sums(deb)}\n"

    def source(self, name: str, version: str) -> str:
        tar = self.pool / f"{name}_{version.removeprefix('1:')}.tar.gz"
        tar.write_bytes(gzip.compress(version.encode()))
        dsc = tar.with_name(tar.name.replace(".tar.gz", ".dsc"))
        dsc.write_text(f"Format: 3.0 (native)\nSource: {name}\nVersion: {version}\n")
        listed = "".join(
            f" {hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_size} {file.name}\n"
            for file in (dsc, tar)
        )
        return (
            f"Package: {name}\nFormat: 3.0 (native)\nBinary: {name}\nArchitecture: all\n"
            f"Version: {version}\nDirectory: pool\nChecksums-Sha256:\n{listed}\n"
        )

    @staticmethod
    def sums(path: Path) -> str:
        data = path.read_bytes()
        return f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"

    def sign(self) -> None:
        listed = "".join(
            f" {hashlib.sha256(file.read_bytes()).hexdigest()} {file.stat().st_size}"
            f" {file.relative_to(self.dist)}\n"
            for file in sorted((self.dist / "main").glob("*/*"))
        )
        release = self.dist / "Release"
        release.write_text(
            "Origin: t\nSuite: stable\nCodename: stable\nArchitectures: amd64 arm64\n"
            f"Components: main\nDate: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n{listed}"
        )
        self.gpg("--output", str(self.dist / "InRelease"), "--clearsign", str(release))
        release.unlink()

    @property
    def uri(self) -> str:
        return (self.folder / "debian").as_uri().replace("file:", "copy:")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    made = Repository(tmp_path_factory.mktemp("repository"))
    yield made
    stop = ["gpgconf", "--homedir", str(made.home), "--kill", "gpg-agent"]
    subprocess.run(stop, check=True, capture_output=True)


@pytest.fixture
def repository(
    archive: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Repository]:
    """Make a copy of the archive the system's package source, with hooks that must not run."""
    copy = object.__new__(Repository)
    copy.__dict__ = dict(archive.__dict__)
    copy.folder = tmp_path / "archive"
    shutil.copytree(archive.folder / "debian", copy.folder / "debian")
    copy.dist, copy.pool = copy.folder / "debian/dists/stable", copy.folder / "debian/pool"
    hooks = tmp_path / "hooks.conf"
    hooks.write_text(
        "".join(f'{name} {{ "touch {tmp_path}/hook-ran"; }};\n' for name in apt._HOOKS)
        + 'APT::Get::AllowUnauthenticated "true";\nAcquire::AllowInsecureRepositories "true";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(hooks))
    source = Source(copy.uri, "stable", "main", str(copy.keyring))
    monkeypatch.setattr(apt_sources, "system_sources", lambda: [source])
    monkeypatch.setattr(apt_sources, "_code_names", lambda: ["stable"])
    before = system_state()
    yield copy
    assert system_state() == before
    assert not (tmp_path / "hook-ran").exists()


def system_state() -> dict[str, int]:
    folders = map(Path, ("/var/lib/apt", "/var/cache/apt", "/var/lib/dpkg", "/etc/apt"))
    return {
        str(path): path.stat().st_mtime_ns
        for folder in folders
        for path in [folder, *folder.glob("*"), *folder.glob("lists/*")]
    }


@needs_apt
def test_source_packages_are_listed_newest_first_and_fetched(
    repository: Repository, tmp_path: Path
) -> None:
    archive = Archive(configured(tmp_path))
    assert archive.source_versions("hello") == ["1:0.9-1", "1.10-1", "1.2-1"]
    assert archive.source_versions("nothing") == []
    for version, name in (("1.10-1", "hello_1.10-1.dsc"), ("1:0.9-1", "hello_0.9-1.dsc")):
        dsc = archive.fetch_source("hello", version, tmp_path / "down")
        assert dsc == tmp_path / "down" / name
        assert gzip.decompress(dsc.with_suffix(".tar.gz").read_bytes()) == version.encode()


@needs_apt
def test_binary_packages_are_found_fetched_and_unpacked(
    repository: Repository, tmp_path: Path
) -> None:
    archive = Archive(configured(tmp_path), kinds=("deb",))
    assert archive.binary_version("hello") == "1.15.15-1~d11"
    assert archive.binary_version("nothing") is None
    archive.fetch_binary(["hello"], tmp_path / "root")
    assert (tmp_path / "root/usr/bin/hello").read_text() == "1.15.15-1~d11"
    assert not list(archive.folder.glob("debs.*"))


@needs_apt
def test_indexes_are_fetched_once_a_day_and_for_each_list(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates: list[Path] = []
    real = run.follow

    def follow(*argv: str, **kwargs: object) -> int:
        updates.append(Path(argv[2]).parent)
        return real(*argv, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(apt, "follow", follow)
    settings = configured(tmp_path)
    for _ in range(2):
        Archive(settings).update()
    assert len(updates) == 1
    Archive(settings, kinds=("deb",)).update()
    assert len(set(updates)) == 2
    (updates[0] / "updated").write_text("2020-01-01")
    Archive(settings).update()
    assert updates[2] == updates[0]


@needs_apt
def test_a_wrong_signature_is_refused_always(repository: Repository, tmp_path: Path) -> None:
    signed = repository.dist / "InRelease"
    signed.write_text(signed.read_text().replace("Origin: t", "Origin: x"))
    with pytest.raises(Failure, match="apt-get update") as caught:
        Archive(configured(tmp_path)).update()
    assert "signature" in caught.value.message.lower()
    assert "mirror.apt" in caught.value.hint


@needs_apt
def test_a_key_in_the_sources_file_is_used(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.gpg("--armor", "--output", str(tmp_path / "key.asc"), "--export")
    lines = (tmp_path / "key.asc").read_text().splitlines()
    key = "".join(f"\n {line or '.'}" for line in lines)
    stanza = f"Types: deb\nURIs: {repository.uri}\nSuites: stable\nComponents: main\n"
    found = list(apt_sources._deb822(f"{stanza}Signed-By:{key}\n"))
    monkeypatch.setattr(apt_sources, "system_sources", lambda: found)
    archive = Archive(configured(tmp_path), kinds=("deb",))
    assert archive.binary_version("hello") == "1.15.15-1~d11"


@needs_apt
def test_an_unsigned_archive_is_refused(repository: Repository, tmp_path: Path) -> None:
    text = (repository.dist / "InRelease").read_text()
    (repository.dist / "InRelease").unlink()
    release = text.partition("\n\n")[2].partition("-----BEGIN PGP SIGNATURE")[0]
    (repository.dist / "Release").write_text(release)
    with pytest.raises(Failure, match="not signed"):
        Archive(configured(tmp_path)).update()


@needs_apt
@pytest.mark.parametrize("kind", ["deb", "tar.gz"])
def test_a_changed_package_is_refused(repository: Repository, tmp_path: Path, kind: str) -> None:
    for path in repository.pool.glob(f"*.{kind}"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    archive = Archive(configured(tmp_path), kinds=("deb", "deb-src"))
    with pytest.raises(Failure, match=r"(?i)hash sum mismatch|corrupted|Failed to fetch"):
        if kind == "deb":
            archive.fetch_binary(["hello"], tmp_path / "root")
        else:
            archive.fetch_source("hello", "1.10-1", tmp_path / "down")
    assert not (tmp_path / "root/usr").exists()


@needs_apt
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_works_without_root(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(repository.folder / "debian", folder / "debian")
        shutil.copy(repository.keyring, folder / "key.gpg")
        uri, keyring = (folder / "debian").as_uri(), str(folder / "key.gpg")
        source = Source(uri, "stable", "main", keyring)
        monkeypatch.setattr(apt_sources, "system_sources", lambda: [source])

        def as_user(real: Callable[..., Any]) -> Callable[..., Any]:
            def called(*argv: str, **kwargs: Any) -> Any:
                for path in (folder, *folder.rglob("*")):
                    os.chown(path, 65534, 65534)
                return real(*user, *argv, **kwargs)

            return called

        monkeypatch.setattr(apt, "run", as_user(run.run))
        monkeypatch.setattr(apt, "follow", as_user(run.follow))
        archive = Archive(configured(folder), kinds=("deb", "deb-src"))
        archive.fetch_binary(["hello"], folder / "root")
        assert (folder / "root/usr/bin/hello").stat().st_uid == 65534
        assert archive.fetch_source("hello", "1.10-1", folder / "down").is_file()


@pytest.mark.skipif(not shutil.which("apt-config"), reason="needs apt")
def test_the_systems_configuration_cannot_switch_verification_of_tls_off(tmp_path: Path) -> None:
    system, ours = tmp_path / "system.conf", tmp_path / "ours.conf"
    sections = ("https", "https::deb.example.org")
    keys = [
        f"Acquire::{section}::Verify-{name}" for section in sections for name in ("Peer", "Host")
    ]
    system.write_text("".join(f'{key} "false";\n' for key in keys))
    settings = load.load({"STEPKUBE_HOME": str(tmp_path)}, {}, Path(os.devnull))
    ours.write_text(apt._options(tmp_path, settings.mirror, "", ["deb.example.org"]))
    env = {**os.environ, "APT_CONFIG": str(system)}
    dump = run.run("apt-config", "--config-file", ours, "dump", env=env).stdout
    assert all(f'{key} "true";' in dump and f'{key} "false";' not in dump for key in keys)


def test_a_path_that_would_change_the_options_of_apt_is_refused(tmp_path: Path) -> None:
    chosen = load.load({"STEPKUBE_HOME": str(tmp_path / 'a"b')})
    with pytest.raises(Failure, match="apt cannot use"):
        Archive(chosen, ("bookworm",), system=False).update()
