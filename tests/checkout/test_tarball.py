"""The archive origin, and archives that are refused."""

from __future__ import annotations

import hashlib
import http.server
import io
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tasks.build import go_command, recipes
from tasks.checkout import tasks as checkout
from tasks.core.errors import Failure
from tasks.settings import load
from tasks.system import unpack
from tests.support import miniature
from tests.support.servers import served

SCRIPT = """  if [[ '$Format:%%$' == "%" ]]; then
    KUBE_GIT_COMMIT='$Format:%H$'
    if [[ '$Format:%D$' =~ tag:\\ (v[^ ,]+) ]]; then
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = miniature.make(tmp_path / "source")
    script = made / "hack/lib/version.sh"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    (made / ".gitattributes").write_text("hack/lib/version.sh export-subst\n")
    (made / "vendor").mkdir()
    (made / "vendor/link").symlink_to("../pkg/kubelet")
    miniature.commit(made, "second")
    miniature.git(made, "tag", "v1.28.4")
    return made


def archived(source: Path, name: str, *, prefix: str = "", at: str = "v1.28.4") -> Path:
    """Run `git archive` and compress the result in the format of the name."""
    target = source.parent / name
    plain = target.with_suffix(".plain")
    miniature.git(source, "archive", f"--prefix={prefix}", "-o", str(plain), "--format=tar", at)
    if name.endswith(".xz"):
        target.write_bytes(lzma.compress(plain.read_bytes()))
    elif name.endswith(".zst"):
        subprocess.run(["zstd", "-q", plain, "-o", target], check=True)
    elif name.endswith(".gz"):
        miniature.git(source, "archive", f"--prefix={prefix}", "-o", str(target), at)
    return target


def chosen(tmp_path: Path, place: object, **environ: str) -> load.Settings:
    return load.load(
        {
            "STEPKUBE_HOME": str(tmp_path / "home"),
            "STEPKUBE_ORIGIN_APT": "",
            "STEPKUBE_ORIGIN_GIT": "",
            "STEPKUBE_ORIGIN_TARBALL": str(place),
            "GOPROXY": "off",
            **environ,
        }
    )


def pack(path: Path, *members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("kubernetes-src.tar.gz", ""),
        ("v1.28.4.tar.gz", "kubernetes-1.28.4/"),
        ("source.tar.xz", "kubernetes/"),
        pytest.param(
            "source.tar.zst",
            "kubernetes/",
            marks=pytest.mark.skipif(not shutil.which("zstd"), reason="needs the program zstd"),
        ),
    ],
)
def test_a_git_archive_names_its_version_and_commit(
    tmp_path: Path, source: Path, name: str, prefix: str
) -> None:
    made = chosen(tmp_path, archived(source, name, prefix=prefix))
    got = checkout.check_out(made)
    assert (got.version, got.minor) == ("v1.28.4", (1, 28))
    assert got.commit == miniature.git(source, "rev-parse", "v1.28.4")
    assert (got.tree / "vendor/link/kubelet.go").is_file()
    assert miniature.git(got.tree, "status", "--porcelain", "--ignored") == ""
    assert [item.name for item in made.paths.source.glob("[!.]*")] == [got.tree.name]
    stamp = go_command.stamp(got, ["p"], dirty=False, date=recipes.commit_date(got))
    assert stamp["p.gitVersion"] == "v1.28.4"
    when = miniature.git(source, "log", "-1", "--format=%ct")
    assert miniature.git(got.tree, "log", "-1", "--format=%ct") == when
    kept = (got.tree / "go.mod").stat().st_ino
    assert checkout.check_out(made) == got
    assert (got.tree / "go.mod").stat().st_ino == kept, "not unpacked again"


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("kubernetes-v1.28.4-rc.1.tar.gz", "auto", "v1.28.4-rc.1"),
        ("k8s-1.28.4.tar.gz", "v1.28.4", "v1.28.4"),
        ("mine.tar.gz", "1.28.7", "v1.28.7"),
        ("mine.tar.gz", "auto", "v1.28.3+"),
    ],
)
def test_the_version_of_an_archive_without_history(
    tmp_path: Path, source: Path, name: str, version: str, expected: str
) -> None:
    (source / "hack/lib/version.sh").unlink()
    miniature.commit(source, "third")
    made = chosen(tmp_path, archived(source, name, at="HEAD"), STEPKUBE_VERSION=version)
    got = checkout.check_out(made)
    assert got.version == (expected + got.commit[:12] if expected.endswith("+") else expected)
    assert got.commit == miniature.git(got.tree, "rev-parse", "HEAD")


def test_a_version_older_than_the_change_log_is_refused(tmp_path: Path, source: Path) -> None:
    (source / "hack/lib/version.sh").unlink()
    miniature.commit(source, "third")
    made = chosen(tmp_path, archived(source, "mine.tar.gz", at="HEAD"), STEPKUBE_VERSION="1.20.2")
    with pytest.raises(Failure, match=r"v1\.28\.3\+.* not v1\.20\.2"):
        checkout.check_out(made)


@pytest.mark.parametrize("version", ["v1.28.5", "v1.20.2", "main"])
def test_a_version_that_the_archive_does_not_have_is_refused(
    tmp_path: Path, source: Path, version: str
) -> None:
    with pytest.raises(Failure, match=rf"it is v1\.28\.4, not {version}"):
        checkout.check_out(chosen(tmp_path, archived(source, "a.tar.gz"), STEPKUBE_VERSION=version))
    assert not list((tmp_path / "home/src").glob("[!.]*"))
    assert not list((tmp_path / "home/src").glob("*.making"))


@pytest.mark.parametrize("kind", ["sha256", "sha512"])
def test_a_local_archive_with_a_wrong_checksum_is_refused(
    tmp_path: Path, source: Path, kind: str
) -> None:
    archive = archived(source, "a.tar.gz")
    checksum = archive.with_name(f"a.tar.gz.{kind}")
    right = hashlib.new(kind, archive.read_bytes()).hexdigest()
    checksum.write_text(f"{right[::-1]}  a.tar.gz\n")
    with pytest.raises(Failure, match=f"the {kind} of .* is {right}, not"):
        checkout.check_out(chosen(tmp_path, archive))
    checksum.write_text(f"{right}  ./a.tar.gz\n")
    assert checkout.check_out(chosen(tmp_path, archive)).version == "v1.28.4"


class Files(http.server.BaseHTTPRequestHandler):
    root: Path

    def do_GET(self) -> None:
        file = self.root / self.path.strip("/")
        body = file.read_bytes() if file.is_file() else b""
        self.send_response(200 if file.is_file() else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def test_a_download_needs_a_checksum(tmp_path: Path, source: Path) -> None:
    archive = archived(source, "v1.28.4.tar.gz", prefix="k/")
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    Files.root = archive.parent
    with served(Files) as port:
        url = f"http://user:s3cr3t@127.0.0.1:{port}/v1.28.4.tar.gz"
        with pytest.raises(Failure, match=r"there is no checksum for .*\.tar") as caught:
            checkout.check_out(chosen(tmp_path, url))
        assert "origin.tarball_sha256" in caught.value.hint
        assert "s3cr3t" not in str(caught.value)
        with pytest.raises(Failure, match=r"the sha256 of .* is"):
            checkout.check_out(chosen(tmp_path, url, STEPKUBE_ORIGIN_TARBALL_SHA256="0" * 64))
        assert not list((tmp_path / "home").rglob("*.go"))
        got = checkout.check_out(chosen(tmp_path, url, STEPKUBE_ORIGIN_TARBALL_SHA256=right))
        assert got.version == "v1.28.4" and "s3cr3t" not in got.origin
        archive.with_name(archive.name + ".sha256").write_text(f"{right}\n")
        again = chosen(tmp_path / "two", url)
        assert checkout.check_out(again).version == "v1.28.4"
        assert not list((again.paths.cache / "downloads").iterdir())


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/v1.28.4.tar.gz", "here.tar.gz"])
def test_a_malformed_checksum_is_refused_before_a_fetch(tmp_path: Path, place: str) -> None:
    with pytest.raises(Failure, match=r"tarball_sha256: '123'"):
        checkout.check_out(chosen(tmp_path, place, STEPKUBE_ORIGIN_TARBALL_SHA256="123"))


@pytest.mark.parametrize("place", ["ftp://mirror.example.org/k.tar.gz", "http://[::1/k.tar.gz"])
def test_an_invalid_address_is_named(tmp_path: Path, place: str) -> None:
    with pytest.raises(Failure, match=r"STEPKUBE_ORIGIN_TARBALL.* is not an address"):
        checkout.check_out(chosen(tmp_path, place))


def test_after_an_unreachable_archive_the_next_origin_is_tried(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = "http://127.0.0.1:1/v1.28.4.tar.gz"
    made = chosen(tmp_path, gone, STEPKUBE_ORIGIN_GIT=str(source))
    assert checkout.check_out(made).origin == f"git {source}"
    assert "cannot be reached" in capsys.readouterr().out
    with pytest.raises(Failure, match=r"none\.tar\.gz does not exist"):
        checkout.check_out(
            chosen(tmp_path, tmp_path / "none.tar.gz", STEPKUBE_ORIGIN_GIT=str(source))
        )


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, source: Path, keep: int) -> None:
    archive = archived(source, "a.tar.gz")
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(Failure, match=r"\.tar.*not a tar archive"):
        checkout.check_out(chosen(tmp_path, archive))
    assert not [item for item in (tmp_path / "home/src").iterdir() if item.is_dir()]


@pytest.mark.parametrize(
    "members",
    [
        [entry("top/../../evil")],
        [entry("/evil")],
        [entry("link", tarfile.SYMTYPE, "/etc")],
        [entry("link", tarfile.SYMTYPE, "../outside"), entry("link/evil")],
        [entry("a/link", tarfile.SYMTYPE, "../../outside")],
        [entry("d", tarfile.SYMTYPE, "../outside"), entry("d/evil", tarfile.SYMTYPE, "x")],
        [
            entry("d", tarfile.SYMTYPE, "e/../outside"),
            entry("e", tarfile.SYMTYPE, "f/g"),
            entry("f/g", tarfile.SYMTYPE, ".."),
            entry("d/evil", tarfile.SYMTYPE, "x"),
        ],
        [entry("fifo", tarfile.FIFOTYPE)],
        [entry("device", tarfile.CHRTYPE)],
        [entry("hard", tarfile.LNKTYPE, "../../outside/file")],
    ],
)
def test_an_archive_that_leaves_its_folder_is_refused(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    with pytest.raises(Failure):
        unpack.extract(pack(tmp_path / "a.tar.gz", *members), tmp_path / "folder", strip=0)
    assert [item.name for item in outside.iterdir()] == ["file"]
    assert not (tmp_path / "evil").exists()


def test_a_repository_inside_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    hook = (entry("top/.git/config"), b"[core]\nfsmonitor = touch /tmp/evil\n")
    pack(tmp_path / "a.tar.gz", hook, (entry("top/file"), b"text"))
    unpack.extract(tmp_path / "a.tar.gz", tmp_path / "folder")
    assert [item.name for item in (tmp_path / "folder").iterdir()] == ["file"]


def test_an_archive_that_unpacks_to_a_large_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "LIMIT", 1000)
    pack(tmp_path / "a.tar.gz", (entry("a"), b"x" * 600), (entry("b"), b"x" * 600))
    with pytest.raises(Failure, match=r"larger than \d+ GiB"):
        unpack.extract(tmp_path / "a.tar.gz", tmp_path / "folder")
