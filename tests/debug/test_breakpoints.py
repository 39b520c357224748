"""Questions to the toy as a component, with a real Delve, and the toy left as it was found."""

import json
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tasks import delve
from tasks.components import registry
from tasks.core.errors import Failure
from tasks.debug import breakpoints, swap
from tasks.delve import tracepoint
from tasks.delve.probe import Answer, Probe
from tasks.delve.types import Variable
from tasks.settings.load import ROOT, Settings
from tasks.system import process, procfs
from tests.support.dap import Dap
from tests.support.stops import wait_stop
from tests.support.toyswap import PORT, calls, current, enter, goes_on

SOURCE = (ROOT / "tests/toy/main.go").read_text().splitlines()
RETURN = next(number for number, line in enumerate(SOURCE, 1) if "return label" in line)
WORK = next(number for number, line in enumerate(SOURCE, 1) if line.startswith("func work"))


def ask(chosen: Settings, at: str, run: str = "", condition: str = "", **more: Any) -> Answer:
    question = Probe(at, tuple(shlex.split(run)), condition, **{"timeout": 20.0, **more})
    return breakpoints.probe_component(chosen, "toy", question, lambda hit: None)


def python(program: str) -> str:
    return shlex.join([sys.executable, "-c", program])


def values(variables: tuple[Variable, ...]) -> dict[str, str]:
    return {one.name: one.value for one in variables}


def assert_untouched(chosen: Settings, running: process.Record) -> None:
    assert current(chosen) == running
    assert swap.load(chosen, "toy") is None
    assert delve.tracer(running.identity.pid) == 0
    assert goes_on(chosen)


@contextmanager
def client(chosen: Settings) -> Iterator[delve.Delve]:
    journal = swap.load(chosen, "toy")
    assert journal is not None
    with delve.Delve(journal.listen) as connection:
        yield connection


@pytest.fixture(params=["normal", "attach", "exec"])
def found(request: pytest.FixtureRequest, chosen: Settings, running: process.Record) -> Settings:
    """Return settings of a toy that runs alone or is being debugged already."""
    if request.param != "normal":
        enter(chosen, request.param)
    return chosen


def snapshot(chosen: Settings) -> object:
    """Return all by which the toy and its debugger are known, and what is set in it."""
    journal = swap.load(chosen, "toy")
    if journal is None:
        return current(chosen), None
    with client(chosen) as connection, connection.halted():
        return current(chosen), journal, connection.breakpoints()


def test_a_hit_shows_arguments_locals_and_stack(found: Settings) -> None:
    before = snapshot(found)
    answer = ask(found, f"toy/main.go:{RETURN}")
    assert answer.complete and answer.failure() is None
    (hit,) = answer.hits
    assert answer.place == f"{hit.file}:{RETURN}"
    number, name = hit.arguments
    assert (name.name, name.type, name.value) == ("name", "string", '"toy"')
    assert values(hit.locals) == {"label": f'"toy-{number.value}"'}
    assert [frame.function for frame in hit.stack[:2]] == ["main.work", "main.main"]
    assert (hit.function, hit.line, hit.number) == ("main.work", RETURN, 1)
    assert snapshot(found) == before
    assert goes_on(found)


def test_several_hits_fulfil_the_condition(found: Settings) -> None:
    before = snapshot(found)
    answer = ask(found, "work", condition="n%7 == 0", hits=3, depth=1)
    numbers = [int(values(hit.arguments)["n"]) for hit in answer.hits]
    assert [number % 7 for number in numbers] == [0, 0, 0]
    assert [number - numbers[0] for number in numbers] == [0, 7, 14]
    assert [hit.number for hit in answer.hits] == [1, 2, 3]
    assert {len(hit.stack) for hit in answer.hits} == {1}
    assert snapshot(found) == before
    assert goes_on(found)


def test_no_hit_is_lost_when_threads_arrive_together(
    chosen: Settings, running: process.Record
) -> None:
    program = f"""
import concurrent.futures, urllib.request
def call(_): return urllib.request.urlopen("http://127.0.0.1:{PORT}/healthz", timeout=20).read()
with concurrent.futures.ThreadPoolExecutor(24) as pool: list(pool.map(call, range(24)))
"""
    answer = ask(chosen, "main.main.func1", python(program), hits=24)
    assert answer.failure() is None
    assert len({hit.goroutine for hit in answer.hits}) == 24
    assert_untouched(chosen, running)


def test_a_place_that_is_not_reached_is_given_up(found: Settings) -> None:
    before = snapshot(found)
    answer = ask(found, "main.work", condition="n < 0", timeout=0.5)
    failure = answer.failure()
    assert failure is not None and "main.work was not reached within 0.5 s" in str(failure)
    assert "--timeout" in failure.hint
    assert snapshot(found) == before
    assert goes_on(found)


@pytest.mark.parametrize(
    ("at", "condition", "words"),
    [
        ("wrok", "", "the binary has no function wrok\n.*main.work"),
        ("Write", "", r"Write matches \d+ names:\n.*\n.*and \d+ more\n.*write more"),
        ("man.go:3", "", "the binary has no source file man.go\n.*toy/main.go"),
        ("toy/main.go:1", "", "no breakpoint at .*toy/main.go:1: Delve: could not find"),
        ("main.work", "n ==", "no breakpoint at main.work: .*expected operand"),
        ("main.work", "nope == 3", "condition nope == 3 cannot be evaluated: .*nope"),
    ],
)
def test_what_makes_no_sense_is_said(
    chosen: Settings, running: process.Record, at: str, condition: str, words: str
) -> None:
    with pytest.raises(Failure, match=f"(?s){words}"):
        ask(chosen, at, condition=condition)
    assert_untouched(chosen, running)


def test_a_toy_that_does_not_run_is_not_started(chosen: Settings) -> None:
    with pytest.raises(Failure, match=r"^toy .*\n.*doit up"):
        ask(chosen, "main.work")
    assert process.load(chosen.paths.run, "toy") is None


def test_a_program_that_ends_is_said_and_given_back(
    chosen: Settings, running: process.Record
) -> None:
    stop = python(f"import os; os.kill({running.identity.pid}, 15)")
    with pytest.raises(Failure, match="exited with status 0"):
        ask(chosen, "main.work", stop, condition="n < 0")
    assert current(chosen).argv == running.argv
    assert swap.load(chosen, "toy") is None


def test_the_command_has_the_cluster_in_its_environment(
    chosen: Settings, running: process.Record
) -> None:
    answer = ask(
        chosen,
        "work",
        python(
            "import os; print(os.environ['KUBECONFIG']);print(os.environ['PATH'].split(':')[0])"
        ),
    )
    paths = chosen.paths
    assert answer.output == f"{paths.kubeconfig('admin')}\n{paths.instance / 'bin'}\n"
    assert answer.code == 0 and answer.complete


def test_a_command_that_fails_ends_the_wait(chosen: Settings, running: process.Record) -> None:
    answer = ask(chosen, "work", python("print('no way'); exit(3)"), condition="n < 0", timeout=60)
    assert (answer.code, answer.output) == (3, "no way\n")
    assert "exited with 3" in str(answer.failure())
    assert_untouched(chosen, running)


def test_a_command_without_end_is_ended(chosen: Settings, running: process.Record) -> None:
    answer = ask(chosen, "work", "sleep 4711", timeout=1.5)
    assert answer.complete and answer.code is None
    assert all(part in str(answer.failure()) for part in ("sleep 4711 did not", "1.5 s"))
    command, outcome = breakpoints.command_lines(answer)
    assert command == "$ sleep 4711" and "stopped" in outcome
    assert_untouched(chosen, running)


def test_a_command_that_is_not_there_is_said_first(
    chosen: Settings, running: process.Record
) -> None:
    with pytest.raises(Failure, match="no-such-thing"):
        ask(chosen, "work", "no-such-thing --now")
    assert_untouched(chosen, running)


def test_breakpoints_of_others_stay_and_are_theirs(
    chosen: Settings, running: process.Record
) -> None:
    enter(chosen, "attach")
    with client(chosen) as owner:
        with owner.halted():
            owner.break_at(function="main.work")
        held = wait_stop(owner, 10)
        before = owner.breakpoints()

        answer = ask(chosen, f"main.go:{RETURN}", timeout=1.0)

        assert answer.hits == ()
        assert f"toy is paused at {held.file}:{WORK} in main.work" in str(answer.failure())
        assert owner.breakpoints() == before
        assert owner.state().stop == owner.halt() and delve.paused(running.identity.pid)
        with pytest.raises(Failure, match=r"Breakpoint exists(?s:.*)clear the other breakpoint"):
            ask(chosen, "main.work")
        assert owner.breakpoints() == before and delve.paused(running.identity.pid)


def test_a_stop_of_others_is_waited_for(chosen: Settings, running: process.Record) -> None:
    enter(chosen, "attach")
    with client(chosen) as owner:
        with owner.halted():
            mark = owner.break_at(function="main.work")
        wait_stop(owner, 10)

        def let_go() -> None:
            process.until(lambda: len(owner.breakpoints()) == 2, lambda: True, 10)
            owner.clear(mark.id)
            owner.resume()

        thread = threading.Thread(target=let_go)
        thread.start()
        answer = ask(chosen, f"main.go:{RETURN}")
        thread.join()
    assert answer.complete
    assert goes_on(chosen)


def test_both_breakpoints_are_hit_in_turn(chosen: Settings, running: process.Record) -> None:
    enter(chosen, "attach")
    stops = []
    done = threading.Event()
    with client(chosen) as owner:
        with owner.halted():
            owner.break_at(function="main.work")

        def use() -> None:
            while not done.is_set():
                stop = owner.state().stop
                if stop is not None and stop.line == WORK:
                    stops.append(stop)
                    owner.resume()

        thread = threading.Thread(target=use)
        thread.start()
        answer = ask(chosen, f"main.go:{RETURN}", hits=4)
        done.set()
        thread.join()
        with owner.halted():
            assert [mark.function for mark in owner.breakpoints()] == ["main.work"]
    assert len(answer.hits) == 4 and len(stops) >= 4


def test_a_stop_by_hand_is_left_alone(chosen: Settings, running: process.Record) -> None:
    enter(chosen, "attach")
    with client(chosen) as owner:
        stop = owner.halt()
        assert not ask(chosen, "main.work", timeout=0.5).complete
        assert owner.state().stop == stop and owner.breakpoints() == ()


def test_an_editor_that_steers_delve_is_named(
    chosen: Settings, running: process.Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delve.Delve.halt, "__defaults__", (0.5,))  # seconds until it gives up
    enter(chosen, "attach")
    journal = swap.load(chosen, "toy")
    assert journal is not None
    editor = Dap(journal.listen)
    try:
        editor.attach()
        with pytest.raises(Failure, match="DAP"):
            ask(chosen, "main.work")
        assert goes_on(chosen)
    finally:
        editor.close()
    assert ask(chosen, "main.work").complete
    assert goes_on(chosen)


def test_a_place_that_is_reached_all_the_time_is_left_alive(
    chosen: Settings, running: process.Record
) -> None:
    done = threading.Event()

    def knock() -> None:
        while not done.is_set():
            calls(chosen)

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        for _ in range(6):
            enter(chosen, "attach")
            with client(chosen) as owner, owner.halted():
                owner.break_at(function="main.main.func1", condition="reply == nil")
            assert not ask(chosen, "work", condition="n < 0", timeout=0.1).complete
            assert swap.leave(chosen, "toy") == running
    finally:
        done.set()
        thread.join()
    assert_untouched(chosen, running)


def test_what_a_killed_run_left_is_cleared(chosen: Settings, running: process.Record) -> None:
    enter(chosen, "attach")
    with client(chosen) as owner:
        with owner.halted():
            owner.break_at(function="main.work", name=tracepoint.NAME)
        wait_stop(owner, 10)
    assert ask(chosen, "main.work").complete
    with client(chosen) as owner, owner.halted():
        assert owner.breakpoints() == ()
    assert goes_on(chosen)


def doit(chosen: Settings, *words: str) -> subprocess.Popen[str]:
    """Start a doit whose only component is the toy."""
    place = (str(chosen.paths.home), str(chosen.debug.base_port), str(PORT))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.toydoit", *place, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_json_is_one_document_on_stdout(chosen: Settings, running: process.Record) -> None:
    words = ("--at", "main.work", "--condition=n%5==0", "--hits", "2", "--output", "json")
    with doit(chosen, "break:toy", *words, "--run", python("print('said')")) as run:
        out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    answer = json.loads(out)
    assert (answer["component"], answer["place"], answer["code"]) == ("toy", "main.work", 0)
    assert answer["output"] == "said\n"
    assert [hit["number"] for hit in answer["hits"]] == [1, 2]
    first = answer["hits"][0]
    assert [one["type"] for one in first["arguments"]] == ["int", "string"]
    assert first["stack"][1]["function"] == "main.main"
    assert "noise of an earlier step" in err and "2 of 2 hits" in err
    assert_untouched(chosen, running)


def test_text_is_shown_and_a_failed_command_fails_the_task(
    chosen: Settings, running: process.Record
) -> None:
    command = python("print('said'); exit(4)")
    with doit(chosen, "break:toy", "--at", "work", "--run", command) as run:
        out, err = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "  | said\n  exit code 4\n" in out
    assert "exited with 4" in err and "Traceback" not in err
    assert_untouched(chosen, running)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_the_toy_as_it_was(found: Settings, number: int) -> None:
    before = snapshot(found)
    words = ("--at", "main.work", "--condition=n<0", "--run", "sleep 4712")
    with doit(found, "break:toy", *words) as run:

        def sleeps() -> bool:
            children = procfs.children(run.pid)
            return ("sleep", "4712") in [procfs.argv_of(pid) for pid in children]

        assert process.until(sleeps, lambda: run.poll() is None, 30)
        run.send_signal(number)
        _, err = run.communicate(timeout=120)
    assert run.returncode == 128 + number and "Traceback" not in err
    assert snapshot(found) == before
    assert goes_on(found)


def test_there_is_a_task_for_every_component(chosen: Settings) -> None:
    group, *tasks = breakpoints.task_break(chosen)
    assert [task["name"] for task in tasks] == list(registry.debug_offsets())
    assert all(task["doc"] and task["params"] for task in tasks) and group["doc"]
