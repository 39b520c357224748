"""A bundle is written, imported as a whole, and used without network."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.bundle import index, read, source, write
from tasks.checkout import tasks as checkout
from tasks.cli import command_line
from tasks.core.errors import Failure
from tasks.kubernetes import bundle_record, tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings import load as settings
from tasks.settings.declare import UserPath
from tasks.settings.load import Settings
from tasks.system import files, resources
from tasks.system.run import run
from tasks.toolchain import tasks as toolchain
from tests.support import miniature
from tests.support.bundles import GENERATED, edit, import_into, load, pack, tree_of


def test_a_bundle_matches_its_checksum_and_index(bundle: Path) -> None:
    stated = bundle.with_name("k.tar.gz.sha256").read_text()
    assert stated == f"{files.digest_file(bundle)}  k.tar.gz\n"
    with tarfile.open(bundle) as tar:
        names = tar.getnames()
        first = tar.extractfile(names[0])
        assert first is not None
        value = json.loads(first.read())
        for name in names[1:]:
            stream = tar.extractfile(name)
            assert stream is not None
            assert hashlib.sha256(stream.read()).hexdigest() == value["members"][name]["sha256"]
    assert names == ["manifest.json", *sorted(value["members"])]
    assert value["architecture"] == resources.architecture()
    assert value["checkout"]["version"] == "v1.28.3"
    assert "toolchain/go1.21.5/pkg/tool/asm" in names
    assert not [name for name in names if "/test/" in name or "linux_amd64" in name]


def test_equal_content_gives_equal_bytes(made: Settings) -> None:
    edit(tree_of(made))
    assert pack(made).read_bytes() == pack(made, "again.tar.gz").read_bytes()
    left = [item.name for item in made.paths.home.parent.iterdir() if item.name.startswith(".")]
    assert left == []


def test_making_a_bundle_only_reads_the_tree(made: Settings) -> None:
    tree = tree_of(made)
    edit(tree)

    def state() -> dict[str, bytes]:
        folders = (tree, made.paths.cache / "git")
        found = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
        return {str(file): file.read_bytes() for file in found}

    before = state()
    pack(made)
    assert state() == before


def test_import_restores_a_tree_with_edits(made: Settings, tmp_path: Path) -> None:
    edit(tree_of(made))
    other = load(tmp_path / "two")
    assert import_into(other, pack(made)) == ""
    assert checkout.make(other) is None
    lock, back = load_checkout(made.paths.lock), load_checkout(other.paths.lock)
    assert (back.version, back.commit) == (lock.version, lock.commit)
    assert back.tree.is_relative_to(other.paths.source)
    one, two = lock.tree, back.tree
    for path in ("pkg/scheduler/scheduler.go", "pkg/scheduler/new.bin", GENERATED):
        assert (one / path).read_bytes() == (two / path).read_bytes()
    assert not (two / "pkg/kubelet/kubelet.go").exists()
    assert not (two / "_output").exists()
    words = ("status", "--porcelain", "--untracked-files=all")
    assert sorted(miniature.git(one, *words).split()) == sorted(miniature.git(two, *words).split())
    assert miniature.git(two, "log", "--format=%H") == lock.commit, "one commit, no history"


def test_import_restores_an_archive_unpacked_in_a_repository(
    made: Settings, tmp_path: Path
) -> None:
    outer = miniature.make(tmp_path / "outer", tags=("v1.20.0",))
    tree = outer / "unpacked"
    shutil.copytree(tree_of(made), tree, ignore=shutil.ignore_patterns(".git"))
    local = replace(made, origin=replace(made.origin, path=UserPath(str(tree))))
    assert checkout.make(local) is None
    (tree / "pkg/scheduler/scheduler.go").write_text("package scheduler // edited\n")
    other = load(tmp_path / "two", STEPKUBE_ORIGIN_ORDER="bundle")
    assert import_into(other, pack(local)) == ""
    got = checkout.check_out(other).tree
    assert (got / "pkg/scheduler/scheduler.go").read_text() == "package scheduler // edited\n"
    assert (got / "cmd/kube-apiserver/main.go").is_file() and not (got / "unpacked").exists()


def test_import_keeps_the_tree_state(bundle: Path, tmp_path: Path) -> None:
    other = load(tmp_path / "two", STEPKUBE_ORIGIN_ORDER="bundle")
    assert import_into(other, bundle) == ""
    record = json.loads(other.paths.bundle.read_text())
    record["checkout"]["state"] = "archive"
    files.write_json(other.paths.bundle, record)
    got = checkout.check_out(other)
    assert got.state == "archive", "else its binaries would be compiled again"
    shutil.rmtree(got.tree)
    with pytest.raises(Failure, match=rf"run: doit unbundle {bundle}"):
        checkout.check_out(other)


def test_imported_tools_are_not_made_again(ready: Settings, bundle: Path, tmp_path: Path) -> None:
    other = load(tmp_path / "two")
    assert import_into(other, bundle) == ""
    assert checkout.make(other) is None

    def never(_: Settings) -> None:
        pytest.fail("a tool of the bundle was made again")

    for name in write.TOOLS:
        toolchain.provide(other, name, never)
        mine, theirs = tool_record.load_tool(ready, name), tool_record.load_tool(other, name)
        assert (theirs.version, theirs.origin) == (mine.version, mine.origin)
        assert theirs.bin.is_relative_to(other.paths.toolchain) and theirs.bin.exists()
    assert json.loads(other.paths.tool("delve").read_text())["max_go"] == "1.27"
    assert os.access(tool_record.load_tool(other, "etcd").bin, os.X_OK)
    named = replace(other, etcd=replace(other.etcd, version="3.5.30"))
    calls: list[str] = []
    toolchain.provide(named, "etcd", lambda _: calls.append("etcd"))
    assert calls == ["etcd"], "a version that the user sets is never replaced by another"


def test_a_second_import_keeps_all_files(bundle: Path, tmp_path: Path) -> None:
    other = load(tmp_path / "two")
    assert import_into(other, bundle) == ""
    before = {path: path.stat().st_ino for path in other.paths.home.rglob("*.go")}
    assert import_into(other, bundle) == ""
    assert {path: path.stat().st_ino for path in other.paths.home.rglob("*.go")} == before


def test_import_keeps_a_tree_with_new_edits(bundle: Path, tmp_path: Path) -> None:
    other = load(tmp_path / "two")
    assert import_into(other, bundle) == ""
    assert checkout.make(other) is None
    mine = tree_of(other) / "pkg/kubelet/kubelet.go"
    mine.write_text("package kubelet // mine\n")
    failure = read.import_bundle(other, str(bundle))
    assert f"{tree_of(other)} exists and differs" in failure.message
    assert f"rm -r {tree_of(other)}" in failure.message and "STEPKUBE_HOME" in failure.message
    assert mine.read_text() == "package kubelet // mine\n"
    assert not (other.paths.home / ".bundle.making").exists()


def test_another_origin_has_priority_over_the_bundle(
    ready: Settings, bundle: Path, tmp_path: Path
) -> None:
    other = load(tmp_path / "two")
    assert import_into(other, bundle) == ""
    assert bundle_record.imported_bundle(other) is not None
    assert (
        bundle_record.imported_bundle(load(tmp_path / "two", STEPKUBE_ORIGIN_ORDER="git")) is None
    )
    assert (
        bundle_record.imported_bundle(load(tmp_path / "two", STEPKUBE_ORIGIN_PATH="/tree")) is None
    )
    newer = load(tmp_path / "two", STEPKUBE_VERSION="main", STEPKUBE_ORIGIN_GIT=ready.origin.git[0])
    assert checkout.check_out(newer).origin.startswith("git ")
    with pytest.raises(Failure, match=r"it has v1\.28\.3, not v1\.30\.0"):
        checkout.check_out(load(tmp_path / "two", STEPKUBE_VERSION="v1.30.0", GOPROXY="off"))


def test_a_tree_without_vendor_is_refused(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    files.write(tree / "go.mod", "module k8s.io/kubernetes\n\nrequire example.org/x v1.0.0\n")
    for more, command in ((), "go mod vendor"), (("go.work",), "go work vendor"):
        for name in more:
            files.write(tree / name, "go 1.22\n")
        with pytest.raises(Failure, match=f"{tree} .*vendor/") as caught:
            write._require_vendor(tree)
        assert command in caught.value.hint
    files.write(tree / "vendor/modules.txt", "# example.org/x v1.0.0\n")
    write._require_vendor(tree)


def test_output_must_be_a_file_in_a_folder_that_exists(ready: Settings, tmp_path: Path) -> None:
    refused = str(write.make(ready, str(tmp_path), binaries=False))
    assert "--output" in refused and f"{tmp_path} is a folder" in refused
    missing = tmp_path / "none" / "k.tar.gz"
    refused = str(write.make(ready, str(missing), binaries=False))
    assert "--output" in refused and f"mkdir -p {missing.parent}" in refused


def test_options_of_up_are_settings() -> None:
    assert command_line.settings_from_up_options(["up", "--bundle", "a b.gz"]) == {
        "origin.bundle": "a b.gz"
    }
    assert command_line.settings_from_up_options(["up", "--bundle=a=b"]) == {"origin.bundle": "a=b"}
    assert command_line.settings_from_up_options(["bundle", "--output", "up.gz"]) == {}


def test_parse_reads_what_dump_writes() -> None:
    record = {"version": "v1.28.3+x", "commit": "a" * 40, "head": "b" * 40, "requested": "auto"}
    one = index.Index("amd64", record, {}, {"bin/a/kubelet": index.Entry("0", 1, True)})
    assert index.parse(index.dump(one), "it") == one
    assert one.modules() == ["kubelet"] and one.size == 1
    assert index.runs_here(" ".join(platform.libc_ver()))
    assert not index.runs_here("musl 1.2")
    assert index.runs_here(index.NO_LIBC)


def test_is_same_source_compares_commit_and_edits(made: Settings, tmp_path: Path) -> None:
    tree = tree_of(made)
    head = miniature.git(tree, "rev-parse", "HEAD")
    assert source.is_same_source(tree, head, "", tmp_path)
    edit(tree)
    assert not source.is_same_source(tree, head, "", tmp_path)
    assert not source.is_same_source(tree, "0" * 40, "", tmp_path)


def without_network(*words: str) -> list[str]:
    """Return a command that runs without network.

    Root gets a network namespace without an interface; other users get proxies that refuse every
    connection.
    """
    if os.geteuid() == 0 and shutil.which("unshare"):
        return ["unshare", "--net", *words]
    nowhere = [f"{name}=http://127.0.0.1:1" for name in ("http_proxy", "https_proxy", "all_proxy")]
    return ["env", "no_proxy=", *nowhere, *words]


def small_go(go: Path, copy: Path) -> Path:
    """Copy what a Go needs to build the small tree: the fifth part of its 270 MB."""
    root = Path(run(go, "env", "GOROOT").stdout.strip())
    needed = run(go, "list", "-deps", "-f", "{{.Dir}}", "embed", cwd=root).stdout.split()
    tools = [next((root / "pkg/tool").glob(f"*/{name}")) for name in ("asm", "compile", "link")]
    folders = [*map(Path, needed), root / "pkg/include"]
    alone = [root / name for name in ("VERSION", "go.env", "src/go.mod", "src/vendor/modules.txt")]
    inside = [file for folder in folders for file in folder.iterdir()]
    for file in (*inside, *alone, *tools, root / "bin/go"):
        if file.is_file():
            target = copy / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return copy


def test_build_from_a_bundle_without_network(
    tmp_path: Path, gobuild: Path, go: Path, go_version: str, made: Settings
) -> None:
    root = small_go(go, tmp_path / "go")
    tool_record.save_tool(
        made, tool_record.Tool("go", go_version, root / "bin/go", root, "a proxy")
    )
    edited = tree_of(made) / "pkg/scheduler/data/name.txt"
    edited.write_text("from the bundle\n")
    bundle = pack(made)
    shutil.rmtree(made.paths.home)
    environ = {
        **os.environ,
        "STEPKUBE_HOME": str(tmp_path / "two"),
        "STEPKUBE_CONFIG": os.devnull,
        "PATH": "/usr/bin:/bin",  # without the Go of this machine
    }
    doit = [sys.executable, "-m", "doit"]

    def run_doit(*words: str) -> str:
        done = subprocess.run(
            without_network(*doit, *words),
            cwd=settings.ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first = run_doit("unbundle", str(bundle))
    assert "Kubernetes v1.28.3" in first
    bundle.unlink()
    (tmp_path / "two/cache").mkdir(exist_ok=True)
    (tmp_path / "two/cache/gobuild").symlink_to(gobuild)
    second = run_doit("build:kube-scheduler", "toolchain")
    assert "from the bundle" in second and f"go {go_version} from a proxy" in second
    binary = tmp_path / "two/instances/default/bin/kube-scheduler"
    assert "from the bundle" in run(binary).stderr
    assert "build:" not in run_doit("build:kube-scheduler"), "nothing to do a second time"
