"""Every era of Kubernetes: found by go, built, stamped, started with its flags, and ended."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.build import dwarf_check, layout
from tasks.build import tasks as build
from tasks.build.sources import refresh
from tasks.checkout import tasks as checkout
from tasks.cluster import tasks as cluster
from tasks.cluster.status import rows
from tasks.core import console, doit_run
from tasks.editors import tasks as editors
from tasks.gomod import release, sumdb
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import process
from tasks.system.ports import Health, opener, owner
from tasks.system.run import run
from tasks.toolchain import goroot, versions
from tests.support import eras, miniature
from tests.support.failures import in_words
from tests.support.ports import instance_name

Maker = Callable[..., Settings]


@pytest.fixture
def chosen(
    tmp_path: Path, cache: Path, gobuild: Path, go: Path, go_version: str
) -> Iterator[Maker]:
    """Return a maker of settings whose tree is an era's; Go's cache is shared by all tests."""
    made: list[Settings] = []

    def choose(tree: Path | None, **environ: str) -> Settings:
        name, home = instance_name(), cache / "home"
        if tree is None:  # with checkouts of its own, and yet the same cache of Go's
            home = tmp_path / "home"
            (home / "cache").mkdir(parents=True)
            (home / "cache/gobuild").symlink_to(gobuild)
        loaded = load.load(
            {
                "STEPKUBE_HOME": str(home),
                "STEPKUBE_INSTANCE": name,
                "STEPKUBE_ORIGIN_PATH": str(tree or ""),
                "START_MODE": "nokubelet",
                **environ,
            }
        )
        made.append(loaded)
        assert checkout.make(loaded) is None
        root = Path(run(go, "env", "GOROOT").stdout.strip())
        tool_record.save_tool(
            loaded, tool_record.Tool("go", go_version, root / "bin/go", root, "here")
        )
        return loaded

    yield choose
    for one in made:
        cluster.down(one)
        shutil.rmtree(one.paths.instance)


def make(one: Settings, *modules: str) -> None:
    """Build modules as a new doit does."""
    doit_run.begin()
    for module in modules:
        said = refresh(one, module) or build.build(one, module)
        assert said is None, said


def ask(one: Settings, name: str) -> dict[str, str]:
    """Return what a running main says of itself."""
    health = next(row for row in rows(one) if row.name == name)
    assert health.port is not None
    secure = any(word.startswith("--secure-port=") for word in health.argv)
    scheme = "https" if secure else "http"
    url = f"{scheme}://127.0.0.1:{health.port}/version"
    with opener(Health(url)).open(url, timeout=60) as said:
        lines = said.read().decode().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def run_through(one: Settings, era: eras.Era, said: pytest.CaptureFixture[str]) -> None:
    """Build, start, ask and end the era's mains."""
    tree = load_checkout(one.paths.lock).tree
    make(one, *eras.MODULES)
    for module in eras.MODULES:
        path = build.load_binary(one, module).path
        assert dwarf_check.prove_debuggable(path).optimized == 0
    assert_paths_lead_to_the_checkout(one, build.load_binary(one, "kube-apiserver").path)
    said.readouterr()
    for name in eras.MODULES:
        problem = cluster.reconcile(one, name)
        assert problem is None, problem
    refusal = f"kube-scheduler does not know --{eras.REFUSED}: left out"
    assert said.readouterr().out.count(refusal) == 1, "once"
    running = {row.name: row for row in rows(one) if row.pid}
    assert {(row.mode, row.health) for row in running.values()} == {("normal", "ok")}
    assert set(running) == set(eras.MODULES)
    for row in running.values():
        assert not any(word.startswith(f"--{eras.REFUSED}=") for word in row.argv)
    for name in eras.MODULES:
        answer = ask(one, name)
        assert answer["gitVersion"] == era.version
        assert answer["gitCommit"] == miniature.git(tree, "rev-parse", "HEAD")
        assert (answer["gitTreeState"], answer["gitMinor"]) == ("clean", f"1.{era.minor[1]}")
        assert_lifted(tree, answer)
    for name in eras.MODULES:
        cluster.reconcile(one, name)
    assert refusal not in said.readouterr().out, "the second time it is known"
    records = [process.load(one.paths.run, name) for name in eras.MODULES]
    cluster.down(one)
    assert not any(record and record.alive() for record in records)
    assert all(owner(row.port or 0) is None for row in running.values())


def assert_lifted(tree: Path, answer: dict[str, str]) -> None:
    """Check that no limit for writes is left, and that the debug information names the file."""
    assert answer["limit"] == "24h0m0s"
    file, _, line = answer["where"].rpartition(":")
    real = tree / f"staging/src/{eras.LIMIT}/rest.go"
    assert Path(file).resolve() == real.resolve()
    assert "this line" in real.read_text().splitlines()[int(line) - 1]


def assert_paths_lead_to_the_checkout(one: Settings, binary: Path) -> None:
    """Check that an editor's path becomes, by its rules, the one that the binary knows."""
    locked = load_checkout(one.paths.lock)
    rules = editors._view(one, locked, "127.0.0.1", "").rules
    known = binary.read_bytes()
    for name in ("pkg/mini/mini.go", f"staging/src/{eras.LIMIT}/rest.go", f"vendor/{eras.THIRD}"):
        mine = str(locked.tree / name)
        fitting = [(a, b) for a, b in rules if mine.startswith(f"{a}/")]
        theirs = mine.replace(*fitting[0], 1) if fitting else mine
        assert Path(theirs).resolve() == (locked.tree / name).resolve(), "it leads to the file"
        if name.endswith(".go"):
            assert theirs.encode() in known, theirs


@pytest.mark.parametrize("era", eras.ERAS, ids=lambda era: era.version)
def test_an_era_is_built_started_asked_and_ended(
    era: eras.Era, chosen: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = eras.make(tmp_path / "tree", era, unique=tmp_path.name)
    one = chosen(tree)
    locked = load_checkout(one.paths.lock)
    assert (locked.version, layout.layout_of(one.paths, locked).mode) == (era.version, era.mode)
    assert versions.required_go(tree) == era.go
    assert versions.required_etcd(tree) == era.etcd
    run_through(one, era, capsys)
    assert miniature.git(tree, "status", "--porcelain", "--ignored") == "", "nothing was written"


OLD_GO = ((eras.ERAS[0], "1.10.8"), (eras.ERAS[2], "1.15.15"))
"""Eras with a GOPATH and with go.mod, and a Go that has no -overlay."""


@pytest.fixture(params=OLD_GO, ids=lambda one: f"{one[0].version}, go{one[1]}")
def old(request: pytest.FixtureRequest, chosen: Maker, tmp_path: Path) -> Settings:
    """Return settings whose Go is driven as an old one is, in a tree with blanks in its path."""
    era, version = request.param
    one = chosen(eras.make(tmp_path / "a tree", era, unique=tmp_path.name))
    tool_record.save_tool(one, replace(tool_record.load_tool(one, "go"), version=version))
    return one


def compiled(one: Settings, said: pytest.CaptureFixture[str]) -> int:
    """Build kube-apiserver, restart it, and return how many packages were compiled."""
    said.readouterr()
    make(one, "kube-apiserver")
    found = re.search(r"(\d+) packages compiled", said.readouterr().out)
    cluster.reconcile(one, "kube-apiserver")
    return int(found[1]) if found else 0


def test_a_go_without_overlay_lifts_the_limit(
    old: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "note", print)
    tree = load_checkout(old.paths.lock).tree
    real = tree / f"staging/src/{eras.LIMIT}/rest.go"
    compiled(old, capsys)
    assert_lifted(tree, ask(old, "kube-apiserver"))
    assert miniature.git(tree, "status", "--porcelain", "--ignored") == "", "nothing was written"
    assert (
        dwarf_check.prove_debuggable(build.load_binary(old, "kube-apiserver").path).optimized == 0
    )

    mini = tree / "pkg/mini/mini.go"
    mini.write_text(f"{mini.read_text()}\nvar Edited = 1\n")
    assert compiled(old, capsys) == 2, "mini and main"
    real.write_text(real.read_text().replace("// Limit is", "// More.\n\n// Limit is"))
    assert compiled(old, capsys) == 3, "handlers, mini and main"
    assert_lifted(tree, ask(old, "kube-apiserver"))

    stock = replace(old, debug=replace(old.debug, lift_write_deadline=False))
    assert compiled(stock, capsys) == 3
    assert ask(stock, "kube-apiserver")["limit"] in ("30s", "34s")
    assert compiled(old, capsys) == 0, "kept from an earlier build"
    assert_lifted(tree, ask(old, "kube-apiserver"))


def test_a_go_work_above_the_tree_is_none_of_its_business(chosen: Maker, tmp_path: Path) -> None:
    (tmp_path / "go.work").write_text("go 1.24\n\nuse ./other\n")
    one = chosen(eras.make(tmp_path / "tree", eras.ERAS[4], unique=tmp_path.name))
    make(one, "kube-scheduler")
    assert build.load_binary(one, "kube-scheduler").path.is_file()


@pytest.mark.parametrize("era", (eras.ERAS[4], eras.ERAS[5]), ids=lambda era: era.version)
def test_a_file_missing_in_vendor_comes_from_the_module_proxy(
    era: eras.Era, chosen: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = eras.make(tmp_path / "tree", era, unique=tmp_path.name)
    (tree / f"vendor/{eras.THIRD}/third.go").unlink()
    proxy = offer(tmp_path / "proxy", tree, 'package third\n\nconst Name = "third"\n')
    miniature.commit(tree, "lose a file")
    one = chosen(tree, GOPROXY=proxy.as_uri())
    assert f"vendor/ has no {eras.THIRD}: " in capsys.readouterr().out
    make(one, "kube-scheduler")
    assert (
        dwarf_check.prove_debuggable(build.load_binary(one, "kube-scheduler").path).optimized == 0
    )
    assert miniature.git(tree, "status", "--porcelain", "--ignored") == "", "nothing was written"
    silent = chosen(tree, GOPROXY=(tmp_path / "nothing").as_uri())
    shutil.rmtree(silent.paths.cache / "gomod" / f"{eras.THIRD}@v1.0.0")
    shutil.rmtree(silent.paths.cache / "gomod/cache/download" / eras.THIRD)
    doit_run.begin()
    said = refresh(silent, "kube-scheduler")
    assert said is not None and "set mirror.goproxy" in said.message


def offer(folder: Path, tree: Path, code: str) -> Path:
    """Make a module proxy that has the third party's module, and a go.sum in the tree for it."""
    place, module = folder / eras.THIRD / "@v", f"module {eras.THIRD}\n"
    place.mkdir(parents=True)
    (place / "v1.0.0.mod").write_text(module)
    (place / "v1.0.0.info").write_text('{"Version": "v1.0.0"}')
    for name, content in {"whole": {"third.go": code}, "mod": {}}.items():
        with zipfile.ZipFile(place / f"{name}.zip", "w") as archive:
            inside = f"{eras.THIRD}@v1.0.0/" if name == "whole" else ""
            for file, text in {"go.mod": module, **content}.items():
                archive.writestr(f"{inside}{file}", text)
    (place / "whole.zip").rename(place / "v1.0.0.zip")
    (tree / "go.sum").write_text(
        f"{eras.THIRD} v1.0.0 {sumdb.hash_zip(place / 'v1.0.0.zip')}\n"
        f"{eras.THIRD} v1.0.0/go.mod {sumdb.hash_zip(place / 'mod.zip')}\n"
    )
    return folder


def test_an_unpacked_archive_inside_another_repository(chosen: Maker, tmp_path: Path) -> None:
    era = eras.ERAS[4]
    own, tree = eras.make(tmp_path / "own", era, unique=tmp_path.name), tmp_path / "outer/k8s"
    tree.mkdir(parents=True)
    miniature.git(own, "archive", "--output", str(tmp_path / "a.tar"), era.version)
    run("tar", "-xf", tmp_path / "a.tar", "-C", tree)
    miniature.git(tmp_path / "outer", "init", "--quiet")
    one = chosen(tree)
    make(one, "kube-scheduler")
    before = build.load_binary(one, "kube-scheduler")
    assert cluster.reconcile(one, "kube-scheduler") is None
    answer = ask(one, "kube-scheduler")
    assert (answer["gitVersion"], answer["gitTreeState"]) == (era.version, "archive")
    assert answer["gitCommit"] == miniature.git(own, "rev-parse", "HEAD")
    file = tree / "pkg/mini/mini.go"
    file.write_text(f"{file.read_text()}\nvar Edited = 1\n")
    make(one, "kube-scheduler")
    assert build.load_binary(one, "kube-scheduler").path != before.path


def test_the_same_sources_in_two_folders_are_two_binaries(chosen: Maker, tmp_path: Path) -> None:
    """The debug information of each leads to its own files."""
    era = eras.ERAS[2]
    paths = []
    eras.make(tmp_path / "one", era, unique=tmp_path.name)
    miniature.git(tmp_path, "clone", "--quiet", "one", "two")
    for name in ("one", "two"):
        one = chosen(tmp_path / name)
        make(one, "kube-scheduler")
        paths.append(build.load_binary(one, "kube-scheduler").path)
        assert str(tmp_path / name / "pkg/mini/mini.go").encode() in paths[-1].read_bytes()
    assert paths[0] != paths[1]


def test_switching_versions_keeps_trees_and_binaries(chosen: Maker, tmp_path: Path) -> None:
    old, new = eras.ERAS[1], eras.ERAS[4]
    store = eras.make(tmp_path / "old", old, unique=tmp_path.name)
    later = eras.make(tmp_path / "new", new, unique=tmp_path.name)
    miniature.git(store, "fetch", "--quiet", "--tags", str(later), "main")
    one = chosen(None, STEPKUBE_ORIGIN_GIT=str(store), STEPKUBE_VERSION=old.version)
    two = replace(one, version=new.version)
    made: dict[str, list[Path]] = {}
    for version, picked in ((old.version, one), (new.version, two), (old.version, one)):
        assert checkout.make(picked) is None
        assert load_checkout(picked.paths.lock).version == version
        make(picked, "kube-scheduler")
        made.setdefault(version, []).append(build.load_binary(picked, "kube-scheduler").path)
        if version == old.version and len(made[version]) == 1:
            stamp = made[version][0].stat().st_ino
            edited = load_checkout(picked.paths.lock).tree / "notes.txt"
            edited.write_text("mine\n")
    assert made[old.version][0] == made[old.version][1]
    assert made[old.version][0].stat().st_ino == stamp, "kept, not built again"
    assert edited.read_text() == "mine\n"
    assert all(path.is_file() for paths in made.values() for path in paths)


@pytest.mark.cluster
@pytest.mark.parametrize("era", eras.ERAS[:3], ids=lambda era: era.version)
def test_an_era_with_its_own_go(
    era: eras.Era, chosen: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = chosen(eras.make(tmp_path / "tree", era, unique=tmp_path.name))
    with in_words():
        tool_record.save_tool(one, goroot.obtain(one, era.go))
    assert tool_record.load_tool(one, "go").release[:2] == release.require_release(era.go, "")[:2]
    run_through(one, era, capsys)
