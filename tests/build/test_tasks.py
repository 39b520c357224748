"""Builds with a real Go, of a small tree that looks like Kubernetes."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.build import (
    dwarf_check,
    edits,
    file_table,
    go_build,
    go_command,
    recipes,
    sources,
)
from tasks.build import tasks as build
from tasks.build.file_table import UNKNOWN, FileTable
from tasks.build.plan import EDITED
from tasks.bundle.write import needs_libc
from tasks.components import registry
from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings.groups import Cgo
from tasks.settings.load import Settings
from tasks.system import files, resources, sealed
from tasks.system.process import until
from tasks.system.run import run
from tests.support.builds import make


def test_a_build_is_debuggable_stamped_and_runs(chosen: Settings) -> None:
    binary = make(chosen, "kube-scheduler")
    assert chosen.name in run(binary.path).stderr
    assert dwarf_check.prove_debuggable(binary.path).optimized == 0
    assert (chosen.paths.instance / "bin" / "kube-scheduler").resolve() == binary.path


def test_only_the_module_whose_files_changed_is_built_again(chosen: Settings) -> None:
    scheduler, apiserver = make(chosen, "kube-scheduler"), make(chosen, "kube-apiserver")
    file = Path(chosen.origin.path) / "pkg/scheduler/scheduler.go"
    original = file.read_text()
    file.write_text(original.replace("return name", 'return "edited " + name'))
    edited = make(chosen, "kube-scheduler")
    assert edited.path != scheduler.path
    assert "edited" in run(edited.path).stderr
    assert make(chosen, "kube-apiserver") == apiserver
    file.write_text(original)
    stamp = scheduler.path.stat().st_ino
    back = make(chosen, "kube-scheduler")
    assert back.path == scheduler.path
    assert back.path.stat().st_ino == stamp, "kept, not built again"


def test_an_edit_of_a_comment_keeps_the_binary(chosen: Settings) -> None:
    built = make(chosen, "kube-scheduler")
    file = Path(chosen.origin.path) / "pkg/scheduler/scheduler.go"
    file.write_text(file.read_text().replace("name }", "name } // edited"))
    state = built.path.stat()
    edited = make(chosen, "kube-scheduler")
    assert edited.path == built.path and edited.digest != built.digest
    assert (built.path.stat().st_ino, built.path.stat().st_size) == (state.st_ino, state.st_size)
    assert make(chosen, "kube-scheduler") == edited
    assert build.is_built(chosen, "kube-scheduler")
    file.write_text(file.read_text().replace("return name", 'return "code " + name'))
    assert "code" in run(make(chosen, "kube-scheduler").path).stderr
    assert chosen.name in run(built.path).stderr


def test_touched_files_are_read_once(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_table, "FEW", 0)
    make(chosen, "kube-scheduler")
    (Path(chosen.origin.path) / "pkg/scheduler/scheduler.go").touch()
    folder = sources.folder_of(chosen, load_checkout(chosen.paths.lock))

    def settled() -> bool:
        doit_run.begin()
        sources.refresh(chosen, "kube-scheduler")
        return UNKNOWN not in [
            entry[0] for entry in json.loads(table.read_text())["files"].values()
        ]

    table = folder / "files.json"
    assert until(settled, lambda: True, 60.0)
    monkeypatch.setattr(FileTable, "_read_file", lambda *_: pytest.fail("read again"))
    doit_run.begin()
    assert sources.refresh(chosen, "kube-scheduler") is None


def test_a_bundle_finds_a_binary_by_the_digest_that_describes_it(chosen: Settings) -> None:
    built = make(chosen, "kube-scheduler")
    assert built.folder == built.path.parent.name
    other = replace(built, digest="f" * 64)
    assert other.folder == "f" * 16
    edited = replace(built, path=built.path.parent.with_name(f"x{EDITED}") / "kube-scheduler")
    assert edited.folder == f"x{EDITED}"


def test_an_edit_that_is_undone_during_the_build_is_not_lost(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(chosen, "kube-scheduler")
    file = Path(chosen.origin.path) / "pkg/scheduler/data/name.txt"
    original, compile_ = file.read_text(), go_build._go
    file.write_text("first\n")

    def meddle(*words: object, **named: object) -> None:
        file.write_text("second\n")
        compile_(*words, **named)  # type: ignore[arg-type]
        file.write_text("first\n")

    sources.refresh(chosen, "kube-scheduler")
    monkeypatch.setattr(go_build, "_go", meddle)
    assert build.build(chosen, "kube-scheduler") is None
    monkeypatch.setattr(go_build, "_go", compile_)
    assert "first" in run(make(chosen, "kube-scheduler").path).stderr
    file.write_text(original)
    assert chosen.name in run(make(chosen, "kube-scheduler").path).stderr


@pytest.mark.parametrize("known", [True, False])
def test_a_binary_that_was_cut_off_is_built_again(chosen: Settings, known: bool) -> None:
    built = make(chosen, "kube-scheduler")
    assert build.is_built(chosen, "kube-scheduler")
    content = built.path.read_bytes()
    if not known:  # as an older stepkube stored it
        sealed._seal_path(built.path).unlink()
    built.path.write_bytes(content[: len(content) // 2])
    assert not build.is_built(chosen, "kube-scheduler")
    assert make(chosen, "kube-scheduler").path == built.path
    assert built.path.read_bytes() == content and build.is_built(chosen, "kube-scheduler")


def test_a_binary_that_was_changed_is_built_again(chosen: Settings) -> None:
    built = make(chosen, "kube-scheduler")
    content = built.path.read_bytes()
    built.path.touch()
    assert build.is_built(chosen, "kube-scheduler"), "only its time changed"
    state = built.path.stat()
    with built.path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"changed")
    os.utime(built.path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert not build.is_built(chosen, "kube-scheduler")
    make(chosen, "kube-scheduler")
    assert built.path.read_bytes() == content


def test_a_binary_that_is_there_waits_for_no_other_run(chosen: Settings) -> None:
    built = make(chosen, "kube-scheduler")
    chosen.paths.built("kube-scheduler").unlink()
    with ThreadPoolExecutor() as pool, files.locked(chosen.paths.cache / "build.lock"):
        again = pool.submit(make, chosen, "kube-scheduler")
        done, _ = wait([again], timeout=60)
    assert done and again.result() == built


def test_binaries_of_one_compilation_are_not_pruned_early(
    chosen: Settings, tmp_path: Path, gobuild: Path
) -> None:
    own = replace(chosen, build=replace(chosen.build, keep=0))
    home = tmp_path / "home"
    instance = home / "instances" / own.name
    shutil.copytree(chosen.paths.instance, instance)
    own = replace(own, paths=replace(own.paths, home=home, instance=instance))
    state = doit_run.current()
    state.dependencies, state.selected = {"build:kube-apiserver": ()}, ["build:kube-apiserver"]
    own.paths.cache.mkdir(parents=True)
    (own.paths.cache / "gobuild").symlink_to(gobuild)
    for module in ("kube-scheduler", "kube-apiserver"):
        assert sources.refresh(own, module) is None
        assert build.build(own, module) is None
    for module in ("kube-scheduler", "kube-apiserver"):
        assert build.load_binary(own, module).path.is_file()


def test_a_sibling_edited_during_compilation_is_used(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(chosen.origin.path) / "pkg/scheduler/data/name.txt"
    original, compile_ = file.read_text(), go_build._go

    def meddle(*words: object, **named: object) -> None:
        compile_(*words, **named)  # type: ignore[arg-type]
        file.write_text("edited meanwhile\n")

    monkeypatch.setattr(go_build, "_go", meddle)
    state = doit_run.current()
    state.dependencies, state.selected = {"build:kube-scheduler": ()}, ["build:kube-scheduler"]
    for module in ("kube-scheduler", "kube-apiserver"):
        assert sources.refresh(chosen, module) is None
    assert build.build(chosen, "kube-apiserver") is None
    monkeypatch.setattr(go_build, "_go", lambda *_, **__: pytest.fail("compiled twice"))
    assert build.build(chosen, "kube-scheduler") is None
    assert build.load_binary(chosen, "kube-scheduler").path.parent.name.endswith("-edited")
    monkeypatch.setattr(go_build, "_go", compile_)
    file.write_text(original)
    assert chosen.name in run(make(chosen, "kube-scheduler").path).stderr


def test_what_a_killed_build_left_is_removed(chosen: Settings) -> None:
    left = chosen.paths.binaries / ".building-killed"
    files.write(left / "kube-scheduler", "half")
    make(chosen, "kube-scheduler")
    assert not left.exists()


def test_an_unchanged_manifest_keeps_its_time_and_says_nothing(chosen: Settings) -> None:
    make(chosen, "kube-scheduler")
    manifest = chosen.paths.sources("kube-scheduler")
    before = manifest.stat().st_mtime_ns
    tree = Path(chosen.origin.path)
    (tree / "pkg/kubelet/kubelet.go").write_text("package kubelet // another module\n")
    (tree / "pkg/scheduler/scheduler_test.go").write_text("package scheduler // a test\n")
    doit_run.begin()
    sources.refresh(chosen, "kube-scheduler")
    assert manifest.stat().st_mtime_ns == before


def test_damaged_and_foreign_facts_about_a_tree_are_read_again(chosen: Settings) -> None:
    make(chosen, "kube-scheduler")
    digests = chosen.paths.sources("kube-scheduler").read_text()
    folder = sources.folder_of(chosen, load_checkout(chosen.paths.lock))
    for content in ("{", "[]", '{"files": 1}', '{"format": 1, "files": {"a": 1}}'):
        for file in folder.glob("*.json"):
            files.write(file, content)
        make(chosen, "kube-scheduler")
        assert chosen.paths.sources("kube-scheduler").read_text() == digests


def test_embedded_files_and_new_packages_count(chosen: Settings) -> None:
    make(chosen, "kube-scheduler")
    tree = Path(chosen.origin.path)
    manifest = chosen.paths.sources("kube-scheduler")
    assert "pkg/scheduler/data/name.txt" in manifest.read_text()
    (tree / "pkg/fresh").mkdir()
    (tree / "pkg/fresh/fresh.go").write_text("package fresh\n")
    file = tree / "pkg/scheduler/scheduler.go"
    more = 'import _ "embed"\nimport _ "k8s.io/kubernetes/pkg/fresh"'
    file.write_text(file.read_text().replace('import _ "embed"', more))
    make(chosen, "kube-scheduler")
    assert "pkg/fresh/fresh.go" in manifest.read_text()


GO_VARIABLES = {
    "GOFLAGS": "-mod=mod -tags=none -race",
    "GOROOT": "/no/such/root",
    "GOENV": "{folder}/env",
    "GOWORK": "/no/such/go.work",
    "GOTOOLCHAIN": "go1.99.0",
    "GO111MODULE": "off",
    "GOOS": "plan9",
    "GOARCH": "386",
    "GOEXPERIMENT": "none",
    "GOPATH": "relative",
    "GOBIN": "/no/such/bin",
    "GOCACHE": "off",
    "CGO_ENABLED": "no",
    "CC": "/no/such/cc",
}
"""Variables of Go users, each with a value that would break a build."""


def test_variables_of_go_users_have_no_effect(
    chosen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make(chosen, "kube-scheduler")
    (tmp_path / "env").write_text("GOFLAGS=-mod=bad\nGOPROXY=off\n")
    for name, value in GO_VARIABLES.items():
        monkeypatch.setenv(name, value.format(folder=tmp_path))
    files.write(tmp_path / "go.work", "go 1.0\nuse ./missing\n")  # above the tree
    (Path(chosen.origin.path) / "pkg/scheduler/more.go").write_text("package scheduler\n")
    changed = make(chosen, "kube-scheduler")
    assert changed.path != plain.path
    (Path(chosen.origin.path) / "pkg/scheduler/more.go").unlink()
    assert make(chosen, "kube-scheduler") == plain


@pytest.mark.parametrize(
    ("module", "fix"),
    [
        ("require example.com/none v1.0.0\n", "git checkout go.mod"),
        ("go 1.99\n", ".go-version"),
    ],
)
def test_an_edit_of_go_mod_alone_is_answered_with_its_fix(
    chosen: Settings, module: str, fix: str
) -> None:
    make(chosen, "kube-scheduler")
    tree = Path(chosen.origin.path)
    files.write(tree / "vendor/modules.txt", "")
    text = "module k8s.io/kubernetes\n\n" + ("" if module.startswith("go ") else "go 1.21\n")
    (tree / "go.mod").write_text(text + module)
    doit_run.begin()
    failed = str(sources.refresh(chosen, "kube-scheduler"))
    assert fix in failed.partition("fix:")[2], failed


def unreadable(path: Path) -> None:
    """Make a file that this user cannot read; root can read all but a write-only file of sysfs."""
    if os.geteuid():
        path.touch(0)
    else:
        path.symlink_to(next(Path("/sys/bus").glob("*/drivers_probe")))


def test_untracked_files_count_only_if_go_reads_them(chosen: Settings) -> None:
    make(chosen, "kube-scheduler")
    manifest, tree = chosen.paths.sources("kube-scheduler"), Path(chosen.origin.path)
    before = manifest.read_text()
    (tree / "images").mkdir()
    for place in (
        "image.qcow2",
        "images/disk.go",
        "pkg/scheduler/core",
        "cmd/kube-scheduler/a.out",
    ):
        unreadable(tree / place)
    make(chosen, "kube-scheduler")
    assert manifest.read_text() == before
    (tree / "pkg/scheduler/more.go").write_text("package scheduler\n")
    (tree / "pkg/scheduler/data/more").write_text("go:embed does not name it")
    doit_run.begin()
    assert sources.refresh(chosen, "kube-scheduler") is None
    added = {line.split("  ")[1] for line in manifest.read_text().splitlines()} - {
        line.split("  ")[1] for line in before.splitlines()
    }
    assert added == {"pkg/scheduler/more.go"}


def test_an_edit_made_during_the_build_is_not_lost(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(chosen.origin.path) / "pkg/scheduler/data/name.txt"
    original, compile_ = file.read_text(), go_build._go

    def meddle(*words: object, **named: object) -> None:
        compile_(*words, **named)  # type: ignore[arg-type]
        file.write_text("edited meanwhile\n")

    monkeypatch.setattr(go_build, "_go", meddle)
    during = make(chosen, "kube-scheduler")
    assert during.path.parent.name.endswith("-edited")
    monkeypatch.setattr(go_build, "_go", compile_)
    after = make(chosen, "kube-scheduler")
    assert "edited meanwhile" in run(after.path).stderr
    file.write_text(original)
    assert chosen.name in run(make(chosen, "kube-scheduler").path).stderr


def test_a_compile_error_is_quoted(chosen: Settings) -> None:
    file = Path(chosen.origin.path) / "pkg/scheduler/scheduler.go"
    file.write_text("package scheduler\n\nfunc Name() string { return 1 }\n")
    doit_run.begin()
    sources.refresh(chosen, "kube-scheduler")
    said = str(build.build(chosen, "kube-scheduler"))
    assert "pkg/scheduler/scheduler.go:3" in said
    assert "fix:" in said
    assert not chosen.paths.built("kube-scheduler").exists()
    assert not list(chosen.paths.binaries.glob(".building-*"))


def test_a_module_the_tree_does_not_have_is_named(chosen: Settings) -> None:
    assert "has no cmd/kubelet" in str(sources.refresh(chosen, "kubelet"))


def test_no_c_compiler_is_said_before_anything_is_compiled(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = Path(chosen.origin.path) / "cmd/kubelet/main.go"
    main.parent.mkdir()
    main.write_text("package main\n\nfunc main() {}\n")
    chosen = replace(chosen, build=replace(chosen.build, cgo="always"))
    doit_run.begin()
    sources.refresh(chosen, "kubelet")
    monkeypatch.setenv("PATH", str(Path(shutil.which("git") or "").parent / "nowhere"))
    monkeypatch.setattr(recipes, "_stamped", lambda one: one)
    monkeypatch.setattr(edits, "is_edited", lambda *_: False)
    monkeypatch.setattr(recipes, "commit_date", lambda _: "2026-01-01T00:00:00Z")
    failure = str(build.build(chosen, "kubelet"))
    assert "kubelet" in failure and "gcc is not installed" in failure
    assert "apt-get install -y gcc" in failure


def test_the_stamp_tells_clean_from_dirty() -> None:
    one = tree_at("v1.20.2")
    clean = go_command.stamp(one, ["p"], dirty=False, date="d")
    assert clean["p.gitVersion"] == "v1.20.2"
    assert clean["p.gitMajor"] == "1"
    dirty = go_command.stamp(one, ["p"], dirty=True, date="d")
    assert dirty["p.gitVersion"] == "v1.20.2-dirty"
    assert (clean["p.gitMinor"], dirty["p.gitMinor"]) == ("20", "20+")
    assert dirty["p.gitTreeState"] == "dirty"


@pytest.mark.parametrize(
    ("go", "flags"), [("1.9.3", "-N -l"), ("1.10", "all=-N -l"), ("1.25.5", "all=-N -l")]
)
def test_flags_of_every_go(go: str, flags: str) -> None:
    made = recipe(go)
    assert made.gcflags == flags
    words = made.arguments(2, Path("/out"), Path("/replaced"), ["./cmd/kube-apiserver"])
    assert "-trimpath" not in " ".join(words)
    assert "-s" not in words[words.index("-ldflags") + 1].split()


def test_a_whole_program_is_linked_with_the_c_library_in_it() -> None:
    for static in (False, True):
        made = recipe("1.10.8", cgo=True, static_libc=static)
        words = made.arguments(2, Path("/out"), Path("/replaced"), ["./cmd/kubelet"])
        linked = words[words.index("-ldflags") + 1]
        assert linked.startswith("-linkmode external -extldflags -static -X ") is static


def test_every_part_of_a_recipe_is_part_of_the_digest() -> None:
    base = recipe("1.25.5")
    assert base.digest("sources") == recipe("1.25.5").digest("sources")
    others = [
        base.digest("other sources"),
        recipe("1.25.6").digest("sources"),
        recipe("1.25.5", cgo=True).digest("sources"),
        recipe("1.25.5", replaced={"/tree/a": "b"}).digest("sources"),
        recipe("1.25.5", dirty=True).digest("sources"),
        replace(base, static_libc=True).digest("sources"),
    ]
    assert len({base.digest("sources"), *others}) == len(others) + 1


def test_a_replaced_file_of_a_bundles_tree_has_the_same_digest() -> None:
    here, there = (
        recipe("1.15", replaced={f"{tree}/plugin/pkg/a.go": "b"}).digest("sources")
        for tree in ("/here", "/there")
    )
    assert here == there


def test_too_little_disk_is_said_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        resources.require_disk(tmp_path / "not" / "yet", 1e9, "a first build")
    assert "a first build needs about 1e+09 GiB" in caught.value.message
    assert "STEPKUBE_HOME" in caught.value.hint


def tree_at(version: str) -> Checkout:
    return Checkout(Path("/tree"), version, "0123456789abcdef", "here", "auto")


def recipe(
    go: str,
    *,
    dirty: bool = False,
    replaced: dict[str, str] | None = None,
    cgo: bool = False,
    static_libc: bool = False,
) -> go_command.Recipe:
    return go_command.recipe(
        tree_at("v1.28.0"),
        Path("/tree"),
        facts.minor("1.28"),
        go,
        dirty=dirty,
        date="d",
        replaced=replaced or {},
        cgo=cgo,
        static_libc=static_libc,
    )


@pytest.mark.parametrize(
    ("minor", "choice", "linked"),
    [
        ("1.10", "auto", {"kubelet"}),
        ("1.19", "auto", {"kubelet", "cloud-controller-manager"}),
        ("1.20", "auto", set()),
        ("1.36", "auto", set()),
        ("1.36", "always", {"kubelet", "cloud-controller-manager"}),
        ("1.36", "never", set()),
    ],
)
def test_c_code_is_linked_only_where_it_is_needed(
    minor: str, choice: Cgo, linked: set[str]
) -> None:
    modules = registry.modules()
    found = {one for one in modules if go_command.uses_cgo(one, facts.minor(minor), choice)}
    assert found == linked


def test_a_module_without_c_is_built_without_a_c_compiler(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(chosen.origin.path) / "cmd/kubelet"
    files.write(
        folder / "main.go", 'package main\n\nimport _ "net"\n\nfunc main() { println(kind) }\n'
    )
    files.write(
        folder / "c.go", '//go:build cgo\n\npackage main\n\nimport "C"\n\nvar kind = "with C"\n'
    )
    files.write(folder / "go.go", '//go:build !cgo\n\npackage main\n\nvar kind = "without C"\n')
    with_c = replace(chosen, build=replace(chosen.build, cgo="always"))
    linked = make(with_c, "kubelet").path
    assert run(linked).stderr == "with C\n" and needs_libc(linked)
    monkeypatch.setenv("CC", "/no/such/cc")
    without = make(chosen, "kubelet").path
    assert run(without).stderr == "without C\n"
    assert not needs_libc(without)


def test_a_limit_of_writes_that_stays_is_named(
    chosen: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    make(chosen, "kube-scheduler")
    assert "rest.go" not in capsys.readouterr().err
    make(chosen, "kube-apiserver")
    assert "handlers/rest.go" in capsys.readouterr().err


def test_the_record_names_what_was_built(chosen: Settings) -> None:
    make(chosen, "kube-apiserver")
    value = json.loads(chosen.paths.built("kube-apiserver").read_text())
    assert value["version"].startswith("v1.28.3+")
    assert Path(value["path"]).is_file()


def test_a_missing_module_is_named_also_when_only_the_build_reads_the_sources(
    chosen: Settings,
) -> None:
    doit_run.begin()
    assert "has no cmd/kubelet" in str(build.build(chosen, "kubelet"))
