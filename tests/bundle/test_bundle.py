"""Bundles: write, verify, import completely or not at all, and build without network."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
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
from tasks.settings.load import Settings
from tasks.system import files, resources
from tasks.system.run import run
from tasks.toolchain import tasks as toolchain
from tests.support import miniature

GENERATED = "pkg/generated/zz_generated.go"


@pytest.fixture
def made(tmp_path: Path) -> Settings:
    """Return settings of an instance that a test can change."""
    return instance(tmp_path)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings of an instance that tests only read."""
    return instance(tmp_path_factory.mktemp("ready"))


@pytest.fixture(scope="module")
def packed(ready: Settings) -> Path:
    """Return the bundle of that instance."""
    return pack(ready)


@pytest.fixture
def bundle(packed: Path, tmp_path: Path) -> Path:
    """Return a copy of that bundle with its checksum."""
    for name in (packed.name, f"{packed.name}.sha256"):
        shutil.copyfile(packed.with_name(name), tmp_path / name)
    return tmp_path / packed.name


def instance(tmp_path: Path) -> Settings:
    """Make an instance with a checkout and with small files as tools."""
    remote = miniature.make(tmp_path / "remote", tags=("v1.28.3",))
    (remote / ".gitignore").write_text("zz_generated*\n_output\n")
    miniature.commit(remote, "second")
    miniature.git(remote, "tag", "--force", "v1.28.3")
    loaded = load(tmp_path / "one", STEPKUBE_ORIGIN_GIT=str(remote))
    assert checkout.make(loaded) is None
    tools = tmp_path / "tools"
    for name in (
        "go/bin/go",
        "go/VERSION",
        "go/test/big.go",
        "go/pkg/linux_amd64/x.a",
        "go/pkg/tool/asm",
        "etcd",
        "dlv",
        "cni/bridge",
        "cni/loopback",
    ):
        files.write(tools / name, f"{name}\n", 0o755)
    for one in (
        tool_record.Tool("go", "1.21.5", tools / "go/bin/go", tools / "go", "a proxy"),
        tool_record.Tool("etcd", "3.5.9", tools / "etcd", None, "the distribution"),
        tool_record.Tool("cni", "1.9.1", tools / "cni", None, "built"),
    ):
        tool_record.save_tool(loaded, one)
    delve = tool_record.Tool("delve", "1.27.2", tools / "dlv", None, "built")
    tool_record.save_tool(loaded, delve, min_go="1.25", max_go="1.27")
    return loaded


def load(home: Path, **environ: str) -> Settings:
    return settings.load(
        {
            "STEPKUBE_HOME": str(home),
            "STEPKUBE_CONFIG": os.devnull,
            "STEPKUBE_ORIGIN_APT": "",
            "STEPKUBE_ORIGIN_GIT": "",
            **environ,
        }
    )


def edit(tree: Path) -> None:
    (tree / "pkg/scheduler/scheduler.go").write_bytes(b"package scheduler // \xff\r\n")
    (tree / "pkg/scheduler/new.bin").write_bytes(bytes(range(256)))
    (tree / "pkg/kubelet/kubelet.go").unlink()
    files.write(tree / GENERATED, "package generated\n")
    files.write(tree / "_output/old.go", "package old\n")


def tree_of(chosen: Settings) -> Path:
    return load_checkout(chosen.paths.lock).tree


def pack(made: Settings, name: str = "k.tar.gz") -> Path:
    target = made.paths.home.parent / name
    failed = write.make(made, str(target), binaries=False)
    assert failed is None, failed
    return target


def import_into(chosen: Settings, bundle: Path) -> str:
    """Import a bundle; return the message of the failure, or an empty string."""
    failed = read.import_bundle(chosen, str(bundle))
    return "" if failed is None else str(failed.message)


def require_nothing_imported(chosen: Settings) -> None:
    left = [item.name for item in chosen.paths.home.iterdir()]
    assert left in ([], ["bundle.lock"]), left


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
    local = replace(made, origin=replace(made.origin, path=str(tree)))
    assert checkout.make(local) is None
    (tree / "pkg/scheduler/scheduler.go").write_text("package scheduler // edited\n")
    other = load(tmp_path / "two", STEPKUBE_ORIGIN_ORDER="bundle")
    assert import_into(other, pack(local)) == ""
    got = checkout.take(other).tree
    assert (got / "pkg/scheduler/scheduler.go").read_text() == "package scheduler // edited\n"
    assert (got / "cmd/kube-apiserver/main.go").is_file() and not (got / "unpacked").exists()


def test_import_keeps_the_tree_state(bundle: Path, tmp_path: Path) -> None:
    other = load(tmp_path / "two", STEPKUBE_ORIGIN_ORDER="bundle")
    assert import_into(other, bundle) == ""
    record = files.read_json(other.paths.bundle)
    record["checkout"]["state"] = "archive"
    files.write_json(other.paths.bundle, record)
    got = checkout.take(other)
    assert got.state == "archive", "else its binaries would be compiled again"
    shutil.rmtree(got.tree)
    with pytest.raises(Failure, match=rf"is gone: doit unbundle {bundle}"):
        checkout.take(other)


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
    assert files.read_json(other.paths.tool("delve"))["max_go"] == "1.27"
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


@pytest.mark.parametrize("version", ["v1.20.2", "1.28.4", "main"])
def test_another_version_is_refused_before_the_import(
    bundle: Path, tmp_path: Path, version: str
) -> None:
    other = load(tmp_path / "two", STEPKUBE_VERSION=version)
    message = import_into(other, bundle)
    assert "Kubernetes v1.28.3" in message and f"version is {checkout.normal(version)}" in message
    require_nothing_imported(other)


def test_a_bundle_of_another_architecture_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture, other = resources.architecture(), load(tmp_path / "two")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    message = import_into(other, bundle)
    assert f"is for {architecture}" in message and "riscv64" in message
    require_nothing_imported(other)


def damaged(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-2000],
        lambda data: damaged(data, len(data) // 2),
        lambda data: b"not an archive",
    ],
)
def test_a_damaged_bundle_imports_nothing(
    bundle: Path, tmp_path: Path, damage: Callable[[bytes], bytes], checksum: bool
) -> None:
    other = load(tmp_path / "two")
    bundle.write_bytes(damage(bundle.read_bytes()))
    if not checksum:
        bundle.with_name("k.tar.gz.sha256").unlink()
    message = import_into(other, bundle)
    assert "damaged" in message and str(bundle) in message
    require_nothing_imported(other)


def rebuilt(bundle: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> Path:
    """Write a bundle again with changed members, as an attacker would."""
    with tarfile.open(bundle) as tar:
        members = [(one, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
    change(members)
    target = bundle.with_name("evil.tar.gz")
    with gzip.open(target, "wb") as packed, tarfile.open(fileobj=packed, mode="w|") as out:
        for info, data in members:
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return target


def add(name: str, data: bytes = b"evil", *, stated: bool = True) -> Callable[..., None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        value = json.loads(members[0][1])
        if stated:
            entry = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
                "executable": True,
            }
            value["members"][name] = entry
        members[0] = (members[0][0], json.dumps(value).encode())
        members.append((tarfile.TarInfo(name), data))

    return change


def alter(key: str, value: object) -> Callable[..., None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        head = json.loads(members[0][1])
        node = head
        *path, last = key.split("/")
        for step in path:
            node = node[step]
        node[last] = value
        members[0] = (members[0][0], json.dumps(head).encode())

    return change


def link(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    place = next(n for n, (info, _) in enumerate(members) if info.name.endswith("/VERSION"))
    info = members[place][0]
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members[place] = (info, b"")


def swap(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    place = next(n for n, (info, _) in enumerate(members) if info.name.endswith("/VERSION"))
    members[place] = (members[place][0], members[place][1][::-1])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (swap, "sha256 of toolchain/go1.21.5/VERSION"),
        (add("toolchain/../../evil"), "'toolchain/../../evil' leads outside"),
        (add("/etc/evil"), "'/etc/evil' leads outside"),
        (add("instances/default/evil"), "'instances/default/evil' leads outside"),
        (add("bin"), "'bin' leads outside"),
        (add("toolchain/evil", stated=False), "toolchain/evil does not match manifest.json"),
        (add("toolchain/../evil", stated=False), "'toolchain/../evil' leads outside"),
        (link, "toolchain/go1.21.5/VERSION does not match manifest.json"),
        (alter("tools/go/bin", "toolchain/../../../bin/sh"), "bin/sh' leads outside"),
        (alter("tools/go/bin", "toolchain/go1.21.5/bin/none"), "bin/none is missing"),
        (alter("checkout/version", "v1.28.3/../../evil"), "cannot read manifest.json"),
        (alter("format", 2), "has format 2"),
        (alter("members", []), "cannot read manifest.json"),
        (alter("tools", "none"), "cannot read manifest.json"),
        (lambda members: members.pop(), "files missing: 1"),
        (lambda members: members.pop(0), "first member is not manifest.json"),
        (lambda members: members.append(members[-1]), "does not match manifest.json"),
    ],
)
def test_a_bundle_cannot_write_outside_or_add_unlisted_files(
    bundle: Path, tmp_path: Path, change: Callable[..., None], expected: str
) -> None:
    evil, other = rebuilt(bundle, change), load(tmp_path / "two")
    assert expected in import_into(other, evil)
    require_nothing_imported(other)
    assert not (tmp_path / "evil").exists() and not Path("/etc/evil").exists()


def test_binaries_for_another_c_library_are_not_imported(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        add("bin/0123456789abcdef/kubelet")(members)
        alter("libc", "glibc 9.99")(members)

    other = load(tmp_path / "two")
    assert import_into(other, rebuilt(bundle, change)) == ""
    assert "binaries need glibc 9.99" in capsys.readouterr().err
    assert not other.paths.binaries.exists()


def test_the_pack_must_contain_the_commit_of_the_index(bundle: Path, tmp_path: Path) -> None:
    evil = rebuilt(bundle, alter("checkout/head", "0" * 40))
    other = load(tmp_path / "two")
    assert "cat-file" in import_into(other, evil)
    require_nothing_imported(other)


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
    assert checkout.take(newer).origin.startswith("git ")
    with pytest.raises(Failure, match=r"it has v1\.28\.3, not v1\.30\.0"):
        checkout.take(load(tmp_path / "two", STEPKUBE_VERSION="v1.30.0", GOPROXY="off"))


def test_a_tree_without_vendor_is_refused(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    files.write(tree / "go.mod", "module k8s.io/kubernetes\n\nrequire example.org/x v1.0.0\n")
    for more, command in ((), "go mod vendor"), (("go.work",), "go work vendor"):
        for name in more:
            files.write(tree / name, "go 1.22\n")
        with pytest.raises(Failure, match="has no vendor/") as caught:
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
