"""Tasks bench:pipeline and bench:packages: rows, options, and a build of a small tree."""

import json
import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.bench import cluster_rows, names, packages, pipeline, rows, scratch, tasks
from tasks.bench.builds import MODULE, PACKAGE, Builds
from tasks.bench.context import Bench
from tasks.bench.report import Figure
from tasks.build import sources
from tasks.build import tasks as build
from tasks.build.action_graph import Action
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import process
from tests.build.conftest import chosen as chosen  # noqa: PLC0414 - the fixture
from tests.support import miniature
from tests.support.doit import doit


def test_long_rows_are_measured_only_when_they_are_named() -> None:
    assert names.selected("") == list(names.SHORT) and "cold" not in names.SHORT
    assert names.selected("cold, look") == ["look", "cold"]
    assert names.selected("all") == list(pipeline.ROWS)


@pytest.mark.parametrize(
    ("name", "fix"), [("edits", "edit"), ("look,clod", "cold"), ("nothing", "growth"), (",", "all")]
)
def test_an_unknown_row_is_refused(name: str, fix: str) -> None:
    with pytest.raises(Failure) as caught:
        names.selected(name)
    assert "--rows" in caught.value.message and fix in caught.value.hint


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("bench:pipeline", "--runs=0"), "--runs"),
        (("bench:pipeline", "--rows=none"), "--rows"),
        (("bench:pipeline",), "doit checkout"),
        (("bench:packages", "--module=kubelt"), "--module"),
        (("bench:packages",), "doit checkout"),
    ],
)
def test_wrong_options_and_a_missing_checkout_are_errors(
    tmp_path: Path, words: tuple[str, ...], key: str
) -> None:
    done = doit(tmp_path, *words)
    assert done.returncode == 1 and key in done.stderr and "fix:" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_slowest_chain_follows_what_needs_what() -> None:
    seconds = {"etcd": 1.0, "kube-apiserver": 10.0, "kube-scheduler": 3.0}
    assert cluster_rows.slowest_chain(seconds) == 14.0
    assert cluster_rows.slowest_chain({**seconds, "kube-controller-manager": 5.0}) == 16.0
    assert cluster_rows.slowest_chain({}) == 0.0


def test_a_row_that_fails_stops_no_other_row(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(bench: Bench) -> list[Figure]:
        raise Failure("no cluster", "run: doit up")

    def works(bench: Bench) -> list[Figure]:
        return [Figure("works", "it works", "s", (1.0,), 2.0)]

    monkeypatch.setattr(pipeline, "ROWS", {"look": fails, "idle": works})
    failed = str(tasks.measure_pipeline(chosen, "look,idle", 1, "text"))
    assert "look: no cluster" in failed
    assert "| works | it works | 1 s |" in capsys.readouterr().out


def test_the_scratch_workspace_leaves_no_trace(chosen: Settings) -> None:
    assert sources.refresh(chosen, MODULE) is None
    assert build.build(chosen, MODULE) is None
    cache = chosen.paths.cache / "gobuild"
    before = {path: path.stat().st_nlink for path in cache.rglob("*-d")}
    with scratch.workspace(chosen, name="test") as made:
        assert made.settings.paths.home.is_relative_to(chosen.paths.cache)
        assert made.settings.name == scratch.INSTANCE != chosen.name
        assert made.settings.start.control_plane and made.settings.origin.order == "path"
        linked = next(path for path in before if path.stat().st_nlink > before[path])
        copy = made.settings.paths.cache / "gobuild" / linked.relative_to(cache)
        assert copy.samefile(linked), "no copy of the content"
        record = build.load_binary(chosen, MODULE).path
        own = made.settings.paths.binaries / record.parent.name / MODULE
        assert own.is_file() and not own.samefile(record)
        home = made.settings.paths.home
    assert not home.exists()
    assert all(path.stat().st_nlink == count for path, count in before.items())
    assert build.is_built(chosen, MODULE)


def test_a_cluster_that_a_killed_benchmark_left_is_stopped(chosen: Settings) -> None:
    home = chosen.paths.cache / "bench" / chosen.name
    (home / "instances" / scratch.INSTANCE / "run").mkdir(parents=True)
    mark = process.mark("etcd", home / "instances" / scratch.INSTANCE)
    with (
        subprocess.Popen(["sleep", "600"], env={**os.environ, process.MARK: mark}) as left,
        scratch.workspace(chosen, name=chosen.name),
    ):
        assert left.wait(30) == -signal.SIGTERM
    assert not home.exists()


def test_a_grown_tree_has_the_files_several_times(chosen: Settings) -> None:
    made = scratch.Scratch(chosen, chosen, load_checkout(chosen.paths.lock))
    tree = rows._grown_tree(made, 2)
    try:
        assert (tree / "copies/1/pkg/scheduler/scheduler.go").is_file()
        assert (tree / "cmd/kube-scheduler/main.go").is_file()
        assert miniature.git(tree, "status", "--porcelain") == ""
        count = len(miniature.git(Path(chosen.origin.path), "ls-files").splitlines())
        assert len(miniature.git(tree, "ls-files").splitlines()) == 2 * count
    finally:
        shutil.rmtree(tree)


def test_settings_of_the_user_do_not_lead_to_the_users_cluster(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("API_PORT", "7000"), ("LOG_DIR", "/mine"), ("START_MODE", "all")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOPROXY", "https://proxy.example.org")
    with scratch.workspace(chosen, name="test") as made:
        assert made.settings.paths.logs.is_relative_to(made.settings.paths.home)
        assert not made.settings.is_given("api.port")
        assert made.settings.mirror.goproxy == "https://proxy.example.org"
        assert not {"API_PORT", "LOG_DIR", "START_MODE"} & made.environ().keys()


def test_bare_go_builds_an_edit_and_the_tree_is_as_before(chosen: Settings) -> None:
    assert sources.refresh(chosen, MODULE) is None
    assert build.build(chosen, MODULE) is None
    tree = Path(chosen.origin.path)
    made = Builds(scratch.Scratch(chosen, chosen, load_checkout(chosen.paths.lock)))
    sample = made.bare(PACKAGE / "scheduler.go", [MODULE])
    assert sample.processor > 0
    assert miniature.git(tree, "status", "--porcelain") == ""
    assert not (chosen.paths.home / "bare").exists()
    with pytest.raises(Failure, match="pkg/none"):
        made.bare(Path("pkg/none.go"), [MODULE])


def test_make_without_dbg_is_not_measured(chosen: Settings) -> None:
    with ExitStack() as stack:
        bench = Bench(chosen, 1, lambda _: None, stack)
        bench.__dict__["scratch"] = scratch.Scratch(
            chosen, chosen, load_checkout(chosen.paths.lock)
        )
        (figure,) = rows.make(bench)
    assert "DBG=1" in figure.note and not figure.values


def test_the_slowest_packages_are_printed() -> None:
    actions = [Action(f"p{number}", "build", 0.0, float(number), 0.5) for number in range(30)]
    actions.append(Action("cmd", "link", 0.0, 99.0, 50.0))
    table = [line for line in packages.as_markdown(actions).splitlines() if line.startswith("| p")]
    assert table[0] == "| package | wall | processor |"
    assert table[1].startswith("| p29 | 29.0 s") and len(table) == 1 + packages.COUNT
    found = json.loads(packages.as_json(actions))
    assert [row["package"] for row in found] == [f"p{number}" for number in range(29, 19, -1)]
    assert found[0]["wall"] == 29.0
