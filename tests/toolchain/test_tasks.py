from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.gomod import release as release_
from tasks.gomod import sumdb
from tasks.kubernetes import tool_record
from tasks.kubernetes.tool_record import Tool
from tasks.settings import load
from tasks.system import download, files, resources
from tasks.toolchain import cni, go_install, goroot
from tasks.toolchain import tasks as toolchain
from tasks.toolchain import versions as golang
from tests.support.checksums import Database, record

ARCH = resources.architecture()
OLD_VERSION = {"build/build-image/cross/VERSION": "v1.15.5-1\n"}
NEW_VERSION = {"build/build-image/cross/VERSION": "v1.23.0-go1.17.3-bullseye.0\n"}
SHELL = {"hack/lib/golang.sh": "  local minimum_go_version\n  minimum_go_version=go1.25\n"}
DEPENDENCIES = {
    "build/dependencies.yaml": (
        'dependencies:\n  # x\n  - name: "golang"\n    version: 1.2.3\n'
        '  - name: "golang: upstream version"\n    version: 1.18.1\n    refPaths:\n'
    )
}
GO_MOD = {"go.mod": "module k8s.io/kubernetes\n\ngo 1.22.0\n"}


def write(folder: Path, contents: dict[str, str]) -> Path:
    for name, text in contents.items():
        files.write(folder / name, text)
    return folder


@pytest.mark.parametrize(
    ("contents", "wanted"),
    [
        ({".go-version": "1.25.1\n"} | DEPENDENCIES | NEW_VERSION, "1.25.1"),
        ({".go-version": "1.26rc1\n"} | DEPENDENCIES | NEW_VERSION, "1.18.1"),
        (DEPENDENCIES | NEW_VERSION | SHELL, "1.18.1"),
        (NEW_VERSION | SHELL | GO_MOD, "1.17.3"),
        (OLD_VERSION | SHELL | GO_MOD, "1.15.5"),
        ({"build/build-image/cross/VERSION": "v1.9.3-2\n"}, "1.9.3"),
        ({"build/build-image/cross/VERSION": "v1.34.0-go1.24.6-bullseye.0\n"}, "1.24.6"),
        (SHELL | GO_MOD, "1.25.0"),
        (GO_MOD, "1.22.0"),
        ({"go.mod": "module x\n\ngo 1.22.0\n\ntoolchain go1.22.5\n"}, "1.22.5"),
        ({"go.mod": "module x\n\ngo 1.15\n"}, "1.15"),
        ({"Godeps/Godeps.json": '{"ImportPath": "x", "GoVersion": "go1.9"}'}, "1.9"),
    ],
)
def test_the_go_of_a_tree_is_read_from_its_most_telling_file(
    tmp_path: Path, contents: dict[str, str], wanted: str
) -> None:
    assert golang.required_go(write(tmp_path, contents)) == wanted


@pytest.mark.parametrize("contents", [{}, {"Godeps/Godeps.json": "{"}, {".go-version": "tip"}])
def test_a_tree_that_does_not_tell_its_go_is_named(
    tmp_path: Path, contents: dict[str, str]
) -> None:
    with pytest.raises(Failure, match=re.escape(str(tmp_path))):
        golang.required_go(write(tmp_path, contents))


def test_the_etcd_of_a_tree_is_read_from_its_script(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"etcd\.sh") as caught:
        golang.required_etcd(tmp_path)
    assert "etcd.version" in caught.value.hint
    write(tmp_path, {"hack/lib/etcd.sh": "#!x\n\nETCD_VERSION=${ETCD_VERSION:-3.4.13}\n"})
    assert golang.required_etcd(tmp_path) == "3.4.13"


@pytest.mark.parametrize(
    ("delve", "expected"),
    [
        ("1.5.0", ((1, 12), (1, 15))),
        ("1.9.0", ((1, 16), (1, 19))),
        ("1.20.2", ((1, 18), (1, 20))),
        ("1.25.0", ((1, 21), (1, 24))),
        ("1.25.2", ((1, 22), (1, 25))),
        ("1.27.9", ((1, 25), (1, 27))),
        ("1.30.1", ((1, 28), (1, 30))),
    ],
)
def test_delve_knows_a_range_of_go(delve: str, expected: golang.Range) -> None:
    assert golang.delve_range(release_.require_release(delve, "x")) == expected


def test_releases_are_read_and_written_as_go_does() -> None:
    assert release_.release("go1.15") == release_.release("v1.15.0") == (1, 15, 0)
    assert release_.release("1.26rc1") is release_.release("v3.7.0-beta.0") is None
    assert [golang.go_name(v) for v in ((1, 20, 0), (1, 20, 1), (1, 21, 0))] == [
        "1.20",
        "1.20.1",
        "1.21.0",
    ]
    with pytest.raises(Failure, match=r"etcd\.version: 'x'"):
        release_.require_release("x", "etcd.version")


def test_a_newer_patch_stands_in_only_when_it_is_needed() -> None:
    def offered() -> Iterator[tuple[int, int, int]]:
        asked.append(1)
        yield from ((1, 15, n) for n in (2, 15, 8, 7, 5, 13))
        yield (1, 16, 9)

    asked: list[int] = []
    tried = goroot.candidates((1, 15, 5), offered())
    assert next(tried) == (1, 15, 5)
    assert not asked
    assert list(tried) == [(1, 15, 15), (1, 15, 13), (1, 15, 8)]


# A stand-in for Go: it knows its version and "builds" by writing what it was asked for.
PROGRAM = """#!/bin/sh
case "$1" in
version) echo "go version go{version} linux/{arch}";;
env) echo "{root}";;
build)
  while [ "$1" != -o ]; do shift; done
  mkdir -p "$(dirname "$2")"; {{ env; cat go.mod; echo "$3"; }} > "$2"; echo "$3";;
esac
"""


def program(version: str, root: Path | str = "") -> str:
    return PROGRAM.format(version=version, arch=ARCH, root=root)


class Proxy:
    """A Go module proxy with its checksum database, as a folder."""

    def __init__(self, folder: Path, *versions: str) -> None:
        self.folder = folder
        self.known = {version: f"v0.0.1-go{version}.linux-{ARCH}" for version in versions}
        records = [record(goroot.MODULE, name, self.zip(v)) for v, name in self.known.items()]
        self.database = Database(records or [record("example.org/none")])
        self.database.write(folder)
        self.list(goroot.MODULE, self.known.values())

    def path(self, version: str) -> Path:
        return self.folder / goroot.MODULE / "@v" / f"{self.known[version]}.zip"

    def list(self, module: str, versions: Iterable[str]) -> None:
        files.write(self.folder / module / "@v/list", "".join(f"{v}\n" for v in versions))

    def release(self, module: str, *versions: str, go: str = "1.24") -> None:
        self.list(module, [f"v{version}" for version in versions])
        for version in versions:
            files.write(self.folder / module / "@v" / f"v{version}.mod", f"module x\n\ngo {go}\n")

    def zip(self, version: str, **more: str) -> str:
        """Write a toolchain zip and return its hash without h1:."""
        path, prefix = self.path(version), f"{goroot.MODULE}@{self.known[version]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "bin/go": program(version),
            "VERSION": f"go{version}\n",
            "pkg/tool/linux_amd64/compile": "x",
            "src/_go.mod": "module std\n",
            "src/cmd/_go.mod": "module cmd\n",
            "src/fmt/print.go": "package fmt\n",
            "lib/wasm/go_js_wasm_exec": "x",
            "lib/go_ios_arm64_exec": "x",
            **more,
        }
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content.items():
                archive.writestr(name if name.startswith("/") else f"{prefix}/{name}", text)
        return sumdb.hash_zip(path).removeprefix("h1:")

    def trust(self, database: Database) -> str:
        """Return the GOSUMDB value of a database that answers in this folder."""
        return f"{database.key} {self.folder.as_uri()}/sumdb/{database.name}"

    def settings(self, tmp_path: Path, **environ: str) -> load.Settings:
        return load.load(
            {
                "STEPKUBE_HOME": str(tmp_path / "home"),
                "GOPROXY": self.folder.as_uri(),
                "GOSUMDB": self.trust(self.database),
                "STEPKUBE_MIRROR_GO": "",
                **environ,
            },
            {"mirror.apt_archive": ""},
            tmp_path / "no",
        )


def hide(monkeypatch: pytest.MonkeyPatch, **programs: Path) -> None:
    """Let only these be the etcd and the Delve of the machine."""
    real = shutil.which

    def which(name: str, *args: Any, **kwargs: Any) -> str | None:
        if name in ("etcd", "dlv"):
            return str(programs[name]) if name in programs else None
        return real(name, *args, **kwargs)

    monkeypatch.setattr(shutil, "which", which)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make a machine without Go, etcd, Delve and Debian."""
    monkeypatch.setattr(tool_record, "go_programs", list)
    hide(monkeypatch)

    def none(*args: object, **kwargs: object) -> None:
        raise Failure("no Debian here")

    monkeypatch.setattr(goroot, "Archive", none)
    monkeypatch.setattr(resources, "require_disk", lambda *args: None)


def test_go_comes_verified_from_the_proxy_and_is_kept(tmp_path: Path) -> None:
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


def test_a_newer_patch_of_the_line_stands_in(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.15.2", "1.15.13", "1.15.15", "1.16.4")
    assert goroot.obtain(proxy.settings(tmp_path), "1.15.5").version == "1.15.15"


def test_a_go_with_another_hash_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
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


def test_a_go_that_the_database_does_not_know_is_refused(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    other = Database([record("example.org/none")])
    with pytest.raises(Failure, match="no verified checksum"):
        goroot.obtain(proxy.settings(tmp_path, GOSUMDB=proxy.trust(other)), "1.25.5")


def test_with_the_database_off_a_warning_takes_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    assert goroot.obtain(proxy.settings(tmp_path, GOSUMDB="off"), "1.25.5").version == "1.25.5"
    assert "not verified" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_a_zip_that_reaches_outside_is_refused(tmp_path: Path, name: str) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    proxy.zip("1.25.5", **{name: "x"})
    with pytest.raises(Failure, match="has a file outside"):
        goroot.obtain(proxy.settings(tmp_path, GOSUMDB="off"), "1.25.5")
    assert not list(tmp_path.rglob("evil"))
    assert not list((tmp_path / "home/toolchain").glob("*go1*"))


def test_a_program_that_is_another_version_is_refused(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path / "proxy", "1.25.5")
    proxy.zip("1.25.5", **{"bin/go": program("1.25.4")})
    with pytest.raises(Failure, match=r"calls itself go version go1\.25\.4"):
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


def test_a_release_archive_is_checked_by_the_sum_beside_it(tmp_path: Path) -> None:
    base = release_folder(tmp_path / "dl", "1.15.5", listed=False)
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path, STEPKUBE_MIRROR_GO=base)
    go = goroot.obtain(chosen, "1.15.5")
    assert (go.version, go.origin) == ("1.15.5", base)


def test_a_release_archive_with_another_sum_is_refused(tmp_path: Path) -> None:
    base = release_folder(tmp_path / "dl", "1.15.5", listed=False, sha256="0" * 64)
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path, STEPKUBE_MIRROR_GO=base)
    with pytest.raises(Failure, match="its sha256 is not the 0000"):
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
    """Stands in for apt's archive: bookworm has golang-1.19, bullseye 1.15."""

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


def test_debians_two_folders_become_one_without_links(
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


@pytest.fixture
def go_on_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a Go 1.26.8 and a program that only looks like one."""
    root = tmp_path / "usr/local/go"
    write(root, {"bin/go": program("1.26.8", root)})
    write(tmp_path, {"broken/go": "#!/bin/sh\nexit 1\n", "odd/go": program("devel +abc", root)})
    found = [tmp_path / "broken/go", tmp_path / "odd/go", root / "bin/go", root / "bin/go"]
    for path in found:
        path.chmod(0o755)
    monkeypatch.setattr(tool_record, "go_programs", lambda: found)
    return root


def test_an_installed_go_of_the_same_line_is_used(tmp_path: Path, go_on_machine: Path) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    expected = Tool("go", "1.26.8", go_on_machine / "bin/go", go_on_machine, str(go_on_machine))
    assert goroot.obtain(chosen, "1.26.2") == expected
    for wanted in ("1.26.9", "1.25.5"):
        with pytest.raises(Failure, match=f"Go {wanted} is not to be had"):
            goroot.obtain(chosen, wanted)


def test_go_runs_in_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOFLAGS", "GONOSUMCHECK", "GOPRIVATE", "GOROOT", "LD_PRELOAD"):
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


def test_records_are_written_and_read(tmp_path: Path) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    with pytest.raises(Failure) as caught:
        toolchain.load_tool(chosen, "go")
    assert caught.value.hint == "run: doit toolchain:go"
    go = Tool("go", "1.15.15", Path("/go/bin/go"), Path("/go"), "here")
    delve = Tool("delve", "1.27.2", Path("/dlv"), None, "there")
    tool_record.save_tool(chosen, go)
    tool_record.save_tool(chosen, delve, min_go="1.25", max_go="1.27")
    assert [tool_record.load_tool(chosen, name) for name in ("go", "delve")] == [go, delve]
    assert files.read_json(chosen.paths.tool("go")) == {
        "version": "1.15.15",
        "root": "/go",
        "bin": "/go/bin/go",
        "from": "here",
    }
    assert files.read_json(chosen.paths.tool("delve"))["max_go"] == "1.27"


@pytest.fixture
def stage(tmp_path: Path, go_on_machine: Path) -> tuple[Proxy, load.Settings]:
    """Give a checkout that wants Go 1.26.2 and etcd 3.4.13, and a proxy with etcd and Delve."""
    proxy = Proxy(tmp_path / "proxy")
    proxy.release(toolchain.ETCD, "3.5.0", "3.5.35", "3.6.4", "3.6.6")
    proxy.release(toolchain.DELVE, "1.25.2", "1.26.0", "1.27.2", go="1.25.0")
    proxy.release(cni.MODULE, "1.8.0", "1.9.1", go="1.99")
    chosen = proxy.settings(tmp_path)
    write(tmp_path / "tree", {".go-version": "1.26.2"})
    lock = {
        "tree": str(tmp_path / "tree"),
        "version": "v1.36.0",
        "commit": "c",
        "origin": "o",
        "requested": "auto",
    }
    files.write_json(chosen.paths.lock, lock)
    want_etcd(tmp_path, "3.4.13")
    return proxy, chosen


def want_etcd(tmp_path: Path, version: str) -> None:
    write(tmp_path / "tree", {"hack/lib/etcd.sh": f"ETCD_VERSION=${{ETCD_VERSION:-{version}}}\n"})


def notes() -> str:
    notes = doit_run.current().notes
    text = "; ".join(notes)
    notes.clear()
    return text


def test_go_is_recorded_and_said(stage: tuple[Proxy, load.Settings]) -> None:
    _, chosen = stage
    assert toolchain.make_go(chosen) is None
    assert tool_record.load_tool(chosen, "go").version == "1.26.8"
    assert re.fullmatch(r"go1\.26\.8 from /.* \(the tree asks for 1\.26\.2\)", notes())


@pytest.mark.parametrize(
    ("wanted", "built"),
    [
        ("3.1.12", "3.5.35"),
        ("3.4.13", "3.5.35"),
        ("3.5.0", "3.5.0"),
        ("3.6.5", "3.6.6"),
        ("3.6.6", "3.6.6"),
    ],
)
def test_etcd_is_built_from_its_module(
    stage: tuple[Proxy, load.Settings], tmp_path: Path, wanted: str, built: str
) -> None:
    _, chosen = stage
    want_etcd(tmp_path, wanted)
    assert toolchain.make_etcd(chosen) is None
    etcd = tool_record.load_tool(chosen, "etcd")
    assert etcd.version == built
    assert etcd.bin == chosen.paths.toolchain / f"etcd-{built}" / "etcd"
    asked = etcd.bin.read_text()
    assert f"require {toolchain.ETCD} v{built}\n{toolchain.ETCD}\n" in asked
    assert "CGO_ENABLED=0" in asked
    assert f"GOSUMDB={chosen.mirror.gosumdb}" in asked
    assert tool_record.load_tool(chosen, "tools-go").version == "1.26.8"
    assert ("the tree asks for" in notes()) == (wanted != built)
    assert list(chosen.paths.toolchain.glob(".etcd-*")) == []
    assert list((chosen.paths.cache / "tmp").iterdir()) == []


def test_an_etcd_the_user_names_is_never_replaced(
    stage: tuple[Proxy, load.Settings], tmp_path: Path
) -> None:
    proxy, _ = stage
    chosen = proxy.settings(tmp_path, ETCD_VERSION="3.6.5")
    failed = toolchain.make_etcd(chosen)
    assert failed is not None
    assert "v3.6.5.mod" in failed.message
    assert "etcd.version" in failed.message
    assert toolchain.make_etcd(proxy.settings(tmp_path, ETCD_VERSION="v3.6.4")) is None
    assert tool_record.load_tool(chosen, "etcd").version == "3.6.4"


def install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, version: str, words: str
) -> Path:
    path = write(folder, {name: f"#!/bin/sh\necho '{words} {version}'\n"}) / name
    path.chmod(0o755)
    hide(monkeypatch, **{name: path})
    return path


@pytest.mark.parametrize(("version", "used"), [("3.4.13", True), ("3.6.1", True), ("3.4.9", False)])
def test_an_installed_etcd_is_used_when_it_is_new_enough(
    stage: tuple[Proxy, load.Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    used: bool,
) -> None:
    _, chosen = stage
    path = install(monkeypatch, tmp_path / "bin", "etcd", version, "etcd Version:")
    assert toolchain.make_etcd(chosen) is None
    assert (tool_record.load_tool(chosen, "etcd").bin == path) is used


def test_a_build_that_fails_leaves_nothing(
    stage: tuple[Proxy, load.Settings], tmp_path: Path, go_on_machine: Path
) -> None:
    _, chosen = stage
    program = go_on_machine / "bin/go"
    program.write_text(program.read_text().replace("build)", "build) echo no luck; exit 1;;\nx)"))
    failed = toolchain.make_etcd(chosen)
    assert failed is not None
    assert "no luck" in failed.message
    assert "mirror.goproxy" in failed.message
    assert list(chosen.paths.toolchain.glob("*etcd-*")) == []
    assert not chosen.paths.tool("etcd").exists()


def test_the_newest_delve_is_built_and_kept(stage: tuple[Proxy, load.Settings]) -> None:
    proxy, chosen = stage
    toolchain.make_go(chosen)
    assert toolchain.make_delve(chosen) is None
    made = files.read_json(chosen.paths.tool("delve"))
    assert (made["version"], made["min_go"], made["max_go"]) == ("1.27.2", "1.25", "1.27")
    (proxy.folder / toolchain.DELVE / "@v/list").unlink()
    assert toolchain.make_delve(chosen) is None
    assert files.read_json(chosen.paths.tool("delve")) == made


def test_a_go_that_no_delve_knows_is_refused_before_a_build(
    stage: tuple[Proxy, load.Settings],
) -> None:
    _, chosen = stage
    tool_record.save_tool(chosen, Tool("go", "1.28.1", Path("/go/bin/go"), Path("/go"), "x"))
    failed = toolchain.make_delve(chosen)
    assert failed is not None
    assert "knows Go up to 1.27" in failed.message
    assert not chosen.paths.toolchain.exists() or not list(chosen.paths.toolchain.glob("delve*"))


@pytest.mark.parametrize(
    ("delve", "go", "fits"),
    [
        ("1.25.2", "1.23.4", True),
        ("1.25.2", "1.15.15", False),
        ("1.24.0", "1.25.1", False),
        ("1.8.0", "1.17.1", False),
        ("1.27.2", "1.26.8", False),
    ],
)
def test_an_installed_delve_is_used_only_when_it_knows_this_go(
    go_on_machine: Path, delve: str, go: str, fits: bool
) -> None:
    program = Tool("dlv", delve, Path("/dlv"), None, "/dlv")
    kind = Tool("go", go, go_on_machine / "bin/go", go_on_machine, "x")
    assert toolchain.delve_fits(program, kind) is fits


def test_plugins_whose_go_is_not_to_be_had_are_refused(
    stage: tuple[Proxy, load.Settings],
) -> None:
    proxy, chosen = stage
    failed = toolchain.make_cni(chosen)
    assert failed is not None
    assert f"needs a Go after {golang.go_name(go_install.TOOLS_GO)}" in failed.message
    proxy.release(cni.MODULE, "1.8.0", "1.9.1")
    assert toolchain.make_cni(chosen) is None
    folder = tool_record.load_tool(chosen, "cni").bin
    assert {path.name for path in folder.glob("[!.]*")} == set(cni.PLUGINS)


def test_a_tool_that_is_gone_is_made_again(tmp_path: Path) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    kept = {task["name"]: task for task in toolchain._tasks(chosen)}["etcd"]["uptodate"][1]
    assert kept() is False
    tool_record.save_tool(
        chosen, Tool("etcd", "3.5.35", write(tmp_path, {"etcd": ""}) / "etcd", None, "")
    )
    assert kept() is True
    (tmp_path / "etcd").unlink()
    assert kept() is False
    chosen.paths.tool("etcd").write_text("{")
    assert kept() is False
    assert repr(kept) == f"the etcd that {chosen.paths.tool('etcd')} names is there"


def test_the_tasks_describe_what_they_depend_on(tmp_path: Path) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    tasks = {task["name"]: task for task in toolchain._tasks(chosen)}
    assert list(tasks) == ["go", "etcd", "delve", "cni"]
    for name, task in tasks.items():
        assert task["targets"] == [str(chosen.paths.tool(name))]
        assert all(isinstance(path, str) for path in task["file_dep"])
    assert tasks["go"]["file_dep"] == tasks["etcd"]["file_dep"] == [str(chosen.paths.lock)]
    assert tasks["delve"]["file_dep"] == tasks["go"]["targets"]
    assert tasks["delve"]["task_dep"] == ["toolchain:go"]
    assert tasks["cni"]["file_dep"] == []


def test_architectures_are_named_as_go_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, name in (("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")):
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        assert resources.architecture() == name
