"""Rows of the benchmark that build or only look: nothing to do, edits, branches, a cold build."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.bench import builds, measure, scratch
from tasks.bench.builds import MODULE, PACKAGE, SHARED
from tasks.bench.context import Bench
from tasks.bench.measure import Sample
from tasks.bench.report import Figure
from tasks.bench.scratch import Scratch
from tasks.build import sources
from tasks.checkout.base import NO_DATE, commit_everything
from tasks.cluster import tasks as cluster
from tasks.core.errors import Failure
from tasks.system import files
from tasks.system.git import Git

WALL, PROCESSOR = "s", "s processor"
BARE = "go build"


def walls(samples: list[Sample]) -> tuple[float, ...]:
    """Return the wall times."""
    return tuple(sample.wall for sample in samples)


def processors(samples: list[Sample]) -> tuple[float, ...]:
    """Return the processor times."""
    return tuple(sample.processor for sample in samples)


def idle(bench: Bench) -> Iterator[Figure]:
    """Measure `doit up` with nothing to do, on the user's cluster. Raises Failure if it has to."""
    settings = bench.user
    for name in cluster.components_to_run(settings):
        if not cluster.is_running(settings, name):
            raise Failure(f"{name} does not run as it is configured", "run: doit up")
    for file in (settings.paths.instance / "build").glob("*.sources"):
        recorded = file.read_text()
        if sources.current_digests(settings, file.stem) != recorded:
            raise Failure(f"source files of {file.stem} changed since its build", "run: doit up")
    bench.time("up")
    (samples,) = bench.pairs("idle", partial(bench.time, "up"))
    yield Figure("idle", "`doit up` with nothing to do", WALL, walls(samples), 0.4)
    yield Figure("idle", "`doit up` with nothing to do", PROCESSOR, processors(samples), 0.45)


def look(bench: Bench) -> Iterator[Figure]:
    """Measure the commands that only look."""
    commands = (("status",), ("list",), ("list", "--all"), ("help", "up"))
    calls = [partial(bench.time, *words) for words in commands]
    for words, samples in zip(commands, bench.pairs("look", *calls), strict=True):
        note = "what completion runs" if words == ("list", "--all") else ""
        title = f"`doit {' '.join(words)}`"
        yield Figure("look", title, WALL, walls(samples), 0.25, note=note)


def edit(bench: Bench) -> Iterator[Figure]:
    """Measure a real edit in one package, up to the new binary."""
    pair, file = bench.builds, PACKAGE / "scheduler.go"
    pair.edited(file, [MODULE])  # reads files into the page cache
    ours, bare = bench.pairs(
        "edit", lambda: pair.edited(file, [MODULE]), lambda: pair.bare(file, [MODULE])
    )
    what = f"edit in {PACKAGE}, to a new {MODULE}"
    yield Figure("edit", what, PROCESSOR, processors(ours), 1.10, processors(bare), BARE)
    yield Figure("edit", what, WALL, walls(ours), None, walls(bare), BARE)


def comments(bench: Bench) -> Iterator[Figure]:
    """Measure edits after which the binary stays the same: comments, OWNERS, tests."""
    cases = (
        ("a comment", PACKAGE / "scheduler.go", "\n// stepkube bench {}\n"),
        ("OWNERS", PACKAGE / "OWNERS", "# stepkube bench {}\n"),
        ("a test", PACKAGE / "scheduler_test.go", "\n// stepkube bench {}\n"),
    )
    for title, path, text in cases:
        found = []
        for number in range(bench.runs):
            bench.progress(f"comments: {title}, run {number + 1} of {bench.runs}")
            found.append(bench.builds.compiled(path, text))
        what = f"edit of {title} in {PACKAGE}"
        yield Figure("comments", what, WALL, walls([sample for sample, _, _ in found]))
        new = tuple(float(is_new) for _, _, is_new in found)
        yield Figure("comments", f"{what}: new binaries", "binaries", new, 0)


def branch(bench: Bench) -> Iterator[Figure]:
    """Measure the build of a state of the tree that was built before, as after a branch switch."""
    made, pair = bench.scratch, bench.builds
    counts, samples = [], []
    for number in range(bench.runs):
        bench.progress(f"branch: run {number + 1} of {bench.runs}")
        pair.edited(PACKAGE / "scheduler.go", [MODULE])  # the other branch
        sample, output = made.doit(f"build:{MODULE}")
        samples.append(sample)
        counts.append(float(builds.packages(output)))
    what = "another state of the tree and back"
    yield Figure("branch", what, WALL, walls(samples))
    yield Figure("branch", f"{what}: packages compiled or linked", "packages", tuple(counts), 0)


def edit_all(bench: Bench) -> Iterator[Figure]:
    """Measure an edit in a package that all modules use, up to all new binaries."""
    made, pair = bench.scratch, bench.builds
    modules = builds.all_modules(made)
    made.doit(*(f"build:{module}" for module in modules))
    ours, bare = bench.pairs(
        "edit-all", lambda: pair.edited(SHARED, modules), lambda: pair.bare(SHARED, modules)
    )
    what = f"edit in {SHARED.parent}, to {len(modules)} new binaries"
    yield Figure("edit-all", what, PROCESSOR, processors(ours), 1.10, processors(bare), BARE)
    yield Figure("edit-all", what, WALL, walls(ours), None, walls(bare), BARE)


def cold(bench: Bench) -> Iterator[Figure]:
    """Measure a build of all modules with an empty Go cache; one run takes many minutes."""
    with scratch.workspace(bench.user, name="cold", cold=True) as made:
        modules = builds.all_modules(made)
        paths = made.settings.paths
        made.doit("generated", *(f"sources:{module}" for module in modules))

        def forget() -> None:
            for folder in (paths.cache / "gobuild", paths.binaries):
                shutil.rmtree(folder, ignore_errors=True)
            for module in modules:
                files.remove(paths.built(module))

        def ours() -> Sample:
            forget()
            return made.time(*(f"build:{module}" for module in modules))

        def bare() -> Sample:
            forget()
            return builds.go(made, modules)

        mine, other = bench.pairs("cold", ours, bare)
    what = f"cold build of {len(modules)} modules"
    yield Figure("cold", what, PROCESSOR, processors(mine), 1.03, processors(other), BARE)
    yield Figure("cold", what, WALL, walls(mine), None, walls(other), BARE)


def make(bench: Bench) -> Iterator[Figure]:
    """Measure the tree's own make, which does nothing the second time, in a copy of the tree."""
    made, what = bench.scratch, f"`doit build:{MODULE}` with nothing to do"
    makefile = made.checkout.tree / "hack/lib/golang.sh"
    if "DBG" not in (makefile.read_text() if makefile.is_file() else ""):
        yield Figure("make", what, WALL, (), 0.1, note="not measured: its make has no DBG=1")
        return
    copy = made.settings.paths.home / "make"
    shutil.copytree(
        made.checkout.tree, copy, symlinks=True, ignore=shutil.ignore_patterns("_output")
    )
    go = builds.environment(made)
    argv = ("make", f"WHAT=cmd/{MODULE}", "DBG=1")
    bench.progress("make: first build")
    measure.command(*argv, cwd=copy, env=go)
    ours, other = bench.pairs(
        "make",
        partial(made.time, f"build:{MODULE}"),
        lambda: measure.command(*argv, cwd=copy, env=go)[0],
    )
    yield Figure("make", what, WALL, walls(ours), 0.1, walls(other), " ".join(argv))


def growth(bench: Bench) -> Iterator[Figure]:
    """Measure the look at the source files in trees with 1, 2 and 4 times the files."""
    made = bench.scratch
    calls = []
    for factor in (1, 2, 4):
        bench.progress(f"growth: makes a tree with {factor} x the files")
        tree = _grown_tree(made, factor)
        words = (f"origin.path={tree}", f"instance=growth-{factor}")
        calls.append(partial(made.time, *words, f"sources:{MODULE}"))
        calls[-1]()
    single, *larger = bench.pairs("growth", *calls)
    for factor, samples in zip((2, 4), larger, strict=True):
        what = f"nothing to do with {factor} x the files"
        yield Figure("growth", what, WALL, walls(samples), 1.1, walls(single), "1 x")


def _grown_tree(made: Scratch, factor: int) -> Path:
    """Return a copy of the tree with more files that no module uses, all of them committed."""
    tree = made.settings.paths.home / f"growth-{factor}"
    without = shutil.ignore_patterns("_output", ".git")
    shutil.copytree(made.checkout.tree, tree, symlinks=True, ignore=without)
    for number in range(1, factor):
        copy = tree / "copies" / str(number)
        shutil.copytree(made.checkout.tree, copy, symlinks=True, ignore=without)
    Git(tree).run("init", "--quiet")
    commit_everything(Git(tree), "A larger tree", NO_DATE)
    return tree
