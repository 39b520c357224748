"""Staying beside a small real program: what it tells, and that nothing is left running."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.components import registry
from tasks.debug import swap
from tasks.runtime import processes
from tasks.settings import load
from tasks.settings.load import ROOT, Settings
from tasks.system import files, ports, process, signals
from tests.support import toycluster
from tests.support.ports import free_port

PORT = free_port()
Run = subprocess.Popen[str]


@pytest.fixture
def chosen(
    tmp_path: Path, toy: Path, dlv: Path, go_version: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    made = toycluster.load(tmp_path, free_port())
    toycluster.write(made, toy, dlv, go_version)
    monkeypatch.setitem(registry.COMPONENTS, "toy", toycluster.spec(PORT))
    monkeypatch.setattr(processes, "with_accepted_flags", toycluster.accept)
    return made


@pytest.fixture
def staying(chosen: Settings) -> Iterator[Run]:
    run = begin(chosen)
    try:
        until(run, "staying")
        yield run
    finally:
        run.kill()
        run.communicate()
        swap.kill(chosen, "toy")
        processes.stop(chosen, "toy")


def begin(chosen: Settings, *more: str) -> Run:
    words = [str(chosen.paths.home), str(chosen.debug.base_port), str(PORT), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.toyforeground", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(run: Run, words: str) -> str:
    """Return what a run says up to the line with these words."""
    assert run.stdout is not None
    said = ""
    for line in run.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


def nothing_runs(chosen: Settings) -> bool:
    marks = (process.mark(name, chosen.paths.instance) for name in ("toy", "dlv-toy"))
    return not any(process.marked(mark) for mark in marks) and ports.owner(PORT) is None


def record(chosen: Settings) -> process.Record:
    found = process.load(chosen.paths.run, "toy")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_everything(chosen: Settings, staying: Run, number: int, code: int) -> None:
    assert not nothing_runs(chosen)
    staying.send_signal(number)
    said, _ = staying.communicate(timeout=120)
    assert staying.returncode == code
    assert nothing_runs(chosen)
    assert ("ended toy" in said) == (number != signal.SIGHUP), "there is no terminal to tell"


@pytest.mark.parametrize("mode", ["attach", "exec"])
def test_a_debugged_component_ends_with_its_debugger(
    chosen: Settings, staying: Run, mode: str
) -> None:
    with files.locked(chosen.paths.run / "toy.lock"):  # as doit debug does
        toycluster.enter(chosen, swap.request(chosen, "toy", swap.as_mode(mode)))
    staying.send_signal(signal.SIGINT)
    said, _ = staying.communicate(timeout=120)
    assert staying.returncode == 130 and "terminated" not in said and "ended toy" in said
    assert nothing_runs(chosen)
    assert ports.owner(registry.debug_port(chosen, "toy")) is None
    assert swap.load(chosen, "toy") is None


def test_a_death_is_told_with_the_last_words_and_it_goes_on(chosen: Settings, staying: Run) -> None:
    with Path(record(chosen).log).open("a") as log:
        log.write("my last words\n")
    signals.stop(record(chosen).identity, ((signal.SIGKILL, 5.0),))
    said = until(staying, "doit start:toy brings it back")
    assert "warning: toy (pid " in said and "  | my last words" in said
    processes.start(chosen, processes.desired_component(chosen, "toy"))
    until(staying, f"toy runs again, as pid {record(chosen).identity.pid}")
    with files.locked(chosen.paths.run / "toy.lock"):  # as doit stop does
        processes.stop(chosen, "toy")
    said, _ = staying.communicate(timeout=120)
    assert "toy was stopped" in said and "nothing left to watch" in said
    assert staying.returncode == 0


def test_a_start_that_fails_half_way_leaves_nothing(chosen: Settings) -> None:
    run = begin(chosen, "broken")
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 1 and "staying" in said and "ended toy" in said
    assert nothing_runs(chosen)


def test_only_up_stays_and_only_when_told() -> None:
    made = load.load({"ENABLE_DAEMON": "false"})
    assert not made.start.daemon
    assert load.load({}).start.daemon, "the default is to return, unlike upstream's"
