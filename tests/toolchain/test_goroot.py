"""A Go from the module proxy, a release folder, Debian, or this machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tool_record import Tool
from tasks.settings import load
from tasks.system import download
from tasks.toolchain import goroot
from tests.support.checksums import Database, record
from tests.support.go_proxy import ARCH, Proxy, program, write


def test_go_from_the_proxy_is_verified_and_kept(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    chosen = proxy.settings(tmp_path)
    go = goroot.obtain(chosen, "1.25.5")
    root = chosen.paths.toolchain / "go1.25.5"
    assert go == Tool("go", "1.25.5", root / "bin/go", root, proxy.folder.as_uri())
    programs = {
        str(p.relative_to(root))
        for p in root.rglob("*")
        if p.is_file() and os.access(p, os.X_OK) and p.stat().st_mode & 0o111
    }
    assert programs == {"bin/go", "pkg/tool/linux_amd64/compile", "lib/go_ios_arm64_exec"}
    assert [(root / f"{name}go.mod").is_file() for name in ("src/", "src/cmd/")] == [True, True]
    assert not list(root.rglob("_go.mod"))
    assert [path.name for path in chosen.paths.toolchain.glob("[!.]*")] == ["go1.25.5"]
    assert list((chosen.paths.cache / "downloads").iterdir()) == []
    proxy.path("1.25.5").unlink()
    assert goroot.obtain(chosen, "1.25.3") == go


def test_a_newer_patch_of_the_minor_is_used(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.15.2", "1.15.13", "1.15.15", "1.16.4")
    assert goroot.obtain(proxy.settings(tmp_path), "1.15.5").version == "1.15.15"


def test_a_go_with_a_wrong_hash_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    proxy.zip("1.25.5", evil="x")
    chosen = proxy.settings(tmp_path)
    with pytest.raises(Failure, match=r"checksum database .*h1:") as caught:
        goroot.obtain(chosen, "1.25.5")
    assert "no Debian here" in caught.value.message
    assert "mirror.go names no folder" in caught.value.message
    for key in ("mirror.goproxy", "mirror.apt_archive", "mirror.go"):
        assert key in caught.value.hint
    left = [path.name for path in tmp_path.glob("home/**/*") if path.is_file()]
    assert sorted(left) == [".go.lock", proxy.known["1.25.5"].replace("v0", "toolchain@v0")]


def test_a_go_that_the_checksum_database_does_not_have_is_refused(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    other = Database([record("example.org/none")])
    with pytest.raises(Failure, match=r"checksum.*v0\.0\.1-go1\.25\.5"):
        goroot.obtain(proxy.settings(tmp_path, GOSUMDB=proxy.trust(other)), "1.25.5")


def test_without_the_checksum_database_there_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    assert goroot.obtain(proxy.settings(tmp_path, GOSUMDB="off"), "1.25.5").version == "1.25.5"
    assert "not verified" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_a_zip_with_files_outside_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    proxy.zip("1.25.5", **{name: "x"})
    with pytest.raises(Failure, match=re.escape(name)):
        goroot.obtain(proxy.settings(tmp_path, GOSUMDB="off"), "1.25.5")
    assert not list(tmp_path.rglob("evil"))
    assert not list((tmp_path / "home/toolchain").glob("*go1*"))


def test_a_program_of_another_version_is_refused(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    proxy.zip("1.25.5", **{"bin/go": program("1.25.4")})
    with pytest.raises(Failure, match=r"Go 1\.25\.5 .* go1\.25\.4"):
        goroot.obtain(proxy.settings(tmp_path, GOSUMDB="off"), "1.25.5")


def release_folder(folder: Path, version: str, *, listed: bool, sha256: str = "") -> str:
    name = f"go{version}.linux-{ARCH}.tar.gz"
    folder.mkdir()
    with tarfile.open(folder / name, "w:gz") as archive:
        data = program(version).encode()
        entry = tarfile.TarInfo("go/bin/go")
        entry.size, entry.mode = len(data), 0o755
        archive.addfile(entry, io.BytesIO(data))
    sha256 = sha256 or hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if listed:
        entries = [{"filename": name, "os": "linux", "sha256": sha256}]
        index = json.dumps([{"version": f"go{version}", "files": entries}])
        (folder / "?mode=json&include=all").write_text(index)
    else:
        (folder / f"{name}.sha256").write_text(sha256 + "\n")
    return folder.as_uri() + "/" if listed else folder.as_uri()


def test_a_release_archive_is_verified_with_the_sum_next_to_it(tmp_path: Path) -> None:
    base = release_folder(tmp_path / "dl", "1.15.5", listed=False)
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path, STEPKUBE_MIRROR_GO=base)
    go = goroot.obtain(chosen, "1.15.5")
    assert (go.version, go.origin) == ("1.15.5", base)


def test_a_release_archive_with_a_wrong_sum_is_refused(tmp_path: Path) -> None:
    base = release_folder(tmp_path / "dl", "1.15.5", listed=False, sha256="0" * 64)
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path, STEPKUBE_MIRROR_GO=base)
    with pytest.raises(Failure, match=r"sha256 is not 0{64}"):
        goroot.obtain(chosen, "1.15.5")


def test_the_index_of_a_release_folder_offers_newer_patches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = release_folder(tmp_path / "dl", "1.15.15", listed=True).rstrip("/")
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path, STEPKUBE_MIRROR_GO=base)
    index = (tmp_path / "dl/?mode=json&include=all").read_bytes()
    real = download.read
    monkeypatch.setattr(
        download,
        "read",
        lambda url, **more: index if url.endswith("include=all") else real(url, **more),
    )
    assert goroot.obtain(chosen, "1.15.5").version == "1.15.15"


class Debian:
    """Replaces apt's archive: bookworm has golang-1.19, bullseye golang-1.15."""

    def __init__(
        self, chosen: object, suites: tuple[str, ...], *, system: bool, kinds: tuple[str, ...]
    ) -> None:
        assert kinds == ("deb",)
        self.where = suites[0] if suites else "bookworm"

    def binary_version(self, package: str) -> str | None:
        offered = {
            ("bullseye", "golang-1.15-go"): "1.15.15-1~deb11u4",
            ("bookworm", "golang-1.19-go"): "1.19.8-2",
        }
        return offered.get((self.where, package))

    def fetch_binary(self, packages: tuple[str, ...], folder: Path) -> None:
        line = packages[0].removeprefix("golang-").removesuffix("-go")
        assert packages[1] == f"golang-{line}-src"
        version = (self.binary_version(packages[0]) or "").split("-")[0]
        library, share = folder / f"usr/lib/go-{line}", folder / f"usr/share/go-{line}"
        write(library, {"bin/go": program(version), "pkg/tool/compile": "x"})
        (library / "bin/go").chmod(0o755)
        write(share, {"src/fmt/print.go": "package fmt", "pkg/include/textflag.h": "x"})
        (library / "src").symlink_to(f"../../share/go-{line}/src")
        (library / "pkg/include").symlink_to(f"../../../share/go-{line}/pkg/include")
        (library / "test").symlink_to(f"../../share/go-{line}/test")


def test_debians_two_folders_are_merged_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goroot, "Archive", Debian)
    chosen = load.load(
        {"STEPKUBE_HOME": str(tmp_path / "home"), "GOPROXY": "off", "STEPKUBE_MIRROR_GO": ""},
        {"mirror.apt_archive": "trixie,bullseye"},
        tmp_path / "no",
    )
    go = goroot.obtain(chosen, "1.15.5")
    root = go.root
    assert root == chosen.paths.toolchain / "go1.15.15"
    assert go.origin == "Debian bullseye"
    assert (root / "src/fmt/print.go").is_file()
    assert (root / "pkg/include/textflag.h").is_file()
    assert not [path for path in root.rglob("*") if path.is_symlink()]
    assert not (root / "deb").exists()
    assert goroot.obtain(chosen, "1.19").origin == "the distribution's packages"
    with pytest.raises(Failure) as caught:
        goroot.obtain(chosen, "1.16")
    assert "bullseye has no golang-1.16-go" in caught.value.message
    with pytest.raises(Failure) as caught:
        goroot.obtain(chosen, "1.19.10")
    assert "bookworm has 1.19.8-2 golang-1.19-go" in caught.value.message


def test_an_installed_go_of_the_same_minor_is_used(tmp_path: Path, go_on_machine: Path) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    expected = Tool("go", "1.26.8", go_on_machine / "bin/go", go_on_machine, str(go_on_machine))
    assert goroot.obtain(chosen, "1.26.2") == expected
    for requested in ("1.26.9", "1.25.5"):
        with pytest.raises(Failure, match=f" Go {requested}:"):
            goroot.obtain(chosen, requested)


_OF_THE_USER = (
    *("GOFLAGS", "GOINSECURE", "GONOPROXY", "GONOSUMCHECK", "GONOSUMDB", "GOPRIVATE", "GOROOT"),
    *("GIT_SSL_NO_VERIFY", "GIT_CONFIG_PARAMETERS", "LD_PRELOAD"),
)


def test_go_runs_in_a_separate_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _OF_THE_USER:
        monkeypatch.setenv(name, "from outside")
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    env = tool_record.go_env(chosen, Tool("go", "1.15.15", Path("/go/bin/go"), Path("/go"), "x"))
    assert "from outside" not in env.values()
    assert env["https_proxy"] == "http://proxy.example.org:3128"
    assert env["HTTPS_PROXY"] == "http://proxy.example.org:3128"
    assert env["NO_PROXY"] == env["no_proxy"] == "127.0.0.1"
    assert (env["GOROOT"], env["GOTOOLCHAIN"], env["GOENV"]) == ("/go", "local", "off")
    assert env["PATH"].startswith("/go/bin:/usr/local/sbin:")
    for name in ("HOME", "TMPDIR", "GOPATH", "GOMODCACHE", "GOCACHE"):
        assert Path(env[name]).is_relative_to(chosen.paths.cache)
