"""`doit watch` with a real Go: what a save builds and restarts, and what it leaves alone."""

from __future__ import annotations

import signal

from tasks import delve
from tasks.cluster import instance_lock
from tasks.debug import swap
from tasks.runtime import processes
from tasks.system import files, process
from tests.support.debugged import eventually
from tests.support.program import line_with
from tests.watch.conftest import Watched, stop

MAIN = "cmd/toy/main.go"
SHARED = "pkg/shared/shared.go"


def test_a_save_restarts_only_the_components_that_use_the_file(watched: Watched) -> None:
    run = watched.watch()
    toy, other = watched.pids()
    watched.save(MAIN, '" toy"', '" edited"')
    line = line_with(run, "restarted")
    assert "toy restarted" in line and "other" not in line and " s\n" in line
    assert watched.answer("toy") == "shared edited"
    assert watched.pid("toy") != toy and watched.pid("other") == other
    watched.save(SHARED, '"shared"', '"both"')
    assert "toy, other restarted" in line_with(run, "restarted")
    assert (watched.answer("toy"), watched.answer("other")) == ("both edited", "both other")
    before = watched.pids()
    assert "keeps running" in stop(run)
    assert watched.pids() == before


def test_what_go_does_not_compile_starts_no_round(watched: Watched) -> None:
    run = watched.watch()
    for name in ("README.md", "pkg/shared/shared_test.go", "pkg/shared/.#shared.go", "x.go"):
        (watched.tree / name).write_text("package shared\n// saved\n")
    (watched.tree / "pkg/kubelet/kubelet.go").write_text("package kubelet // saved\n")
    watched.save(MAIN, '" toy"', '" edited"')
    assert "toy restarted" in line_with(run, " s\n"), "the first round is that of the save"
    stop(run)


def test_a_failed_build_leaves_the_old_process_and_names_the_first_error(watched: Watched) -> None:
    run = watched.watch()
    before = watched.pids()
    watched.save(SHARED, "return", "returned, and")
    line = line_with(run, "FAILED")
    assert f"{SHARED}:3:" in line and "stay" in line and "restarted" not in line
    assert watched.pids() == before and watched.answer("toy") == "shared toy"
    watched.save(SHARED, "returned, and", "return unknown +")
    line = line_with(run, "FAILED")
    assert f"{SHARED}:3:" in line and "unknown" in line
    assert watched.pids() == before
    watched.save(SHARED, "return unknown +", "return")
    line_with(run, "no binary changed")
    assert watched.pids() == before
    stop(run)


def test_a_program_that_exits_at_once_is_replaced_by_the_one_before(watched: Watched) -> None:
    run = watched.watch()
    watched.save(MAIN, "func main() {", 'func main() {\n\tpanic("at once")')
    line = line_with(run, "FAILED")
    assert "toy exited" in line and "as before" in line and " s\n" in line
    assert watched.answer("toy") == "shared toy"
    stop(run)


def test_the_mode_and_the_breakpoints_are_kept(watched: Watched) -> None:
    settings = watched.settings
    desired = swap.request(settings, "toy", "debug-attach")
    swap.enter(settings, swap.require_running(settings, "toy"), desired)
    number = 1 + (watched.tree / MAIN).read_text().splitlines().index("\tfmt.Fprint(reply, text)")
    with delve.Delve(desired.local) as client, client.halted():
        (file,) = client.source_files("cmd/toy/main.go$")
        client.break_at(file=file, line=number, condition="false")
    run = watched.watch("watch:toy")
    watched.save(MAIN, "\ttext := ", '\tprintln("a line above")\n\ttext := ')
    line = line_with(run, "restarted")
    assert "debug-attach with 1 breakpoints" in line
    assert f"1 moved from line {number} to {number + 1}" in line
    with delve.Delve(desired.local) as client, client.halted():
        (point,) = client.breakpoints()
    assert (point.line, point.condition) == (number + 1, "false")
    record = process.load(settings.paths.run, "toy")
    assert record is not None and record.mode == "debug-attach"
    stop(run)
    assert watched.answer("toy") == "shared toy"


def test_one_component_can_be_watched(watched: Watched) -> None:
    run = watched.watch("watch:other")
    toy, other = watched.pids()
    watched.save(SHARED, '"shared"', '"edited"')
    assert "other restarted" in line_with(run, "restarted")
    assert watched.pid("toy") == toy and watched.pid("other") != other
    stop(run)


def test_a_package_that_a_save_adds_is_watched_too(watched: Watched) -> None:
    run = watched.watch("watch:toy")
    new = watched.tree / "pkg/new/new.go"
    new.parent.mkdir()
    new.write_text('package new\n\nfunc Name() string { return "new" }\n')
    watched.save(MAIN, "pkg/shared", "pkg/new")
    watched.save(MAIN, "shared.Name", "new.Name")
    line_with(run, "restarted")
    line_with(run, "watching ")
    watched.save("pkg/new/new.go", '"new"', '"newer"')
    line_with(run, "restarted")
    assert watched.answer("toy") == "newer toy"
    stop(run)


def test_edits_before_the_watch_are_built_first(watched: Watched) -> None:
    watched.save(MAIN, '" toy"', '" edited"')
    run = watched.start("watch")
    assert "toy restarted" in line_with(run, "restarted")
    line_with(run, "watching ")
    stop(run)


def test_a_second_watch_names_the_first_one(watched: Watched) -> None:
    run = watched.watch()
    output = watched.doit("watch:toy", code=1)
    assert f"pid {run.pid} " in output and watched.settings.name in output
    stop(run)
    stop(watched.watch())


def test_a_round_waits_for_another_run_and_names_it(watched: Watched) -> None:
    run = watched.watch()
    before = watched.pids()
    with instance_lock.exclusive(watched.settings):
        watched.save(MAIN, '" toy"', '" edited"')
        assert "instance.lock" in line_with(run, "waiting for pid")
        assert watched.pids() == before
    assert "toy restarted" in line_with(run, "restarted")
    stop(run)


def test_ctrl_c_during_a_round_leaves_the_components_running(watched: Watched) -> None:
    run = watched.watch()
    watched.save(SHARED, '"shared"', '"edited"')
    lock = watched.settings.paths.run / "toy.lock"
    first = watched.pid("toy")
    eventually(lambda: _changed(watched, first) or files.is_locked(lock), "a round")
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=120)
    assert run.returncode == 130
    assert watched.pid("toy") and watched.pid("other")
    assert watched.answer("toy") in ("shared toy", "edited toy")


def _changed(watched: Watched, first: int) -> bool:
    record = process.load(watched.settings.paths.run, "toy")
    return record is None or record.identity.pid != first


def test_nothing_to_watch_is_an_error_with_its_fix(watched: Watched) -> None:
    for name in ("toy", "other"):
        processes.stop(watched.settings, name)
    assert "doit up" in watched.doit("watch", code=1)
    output = watched.doit("watch:toy", code=1)
    assert "toy is not running" in output
