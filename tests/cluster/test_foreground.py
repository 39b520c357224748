"""The foreground mode with a small real program: its output, and that nothing stays running."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.components import registry
from tasks.debug import swap
from tasks.runtime import accepted_flags, processes
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files, ports, process, signals
from tests.support import toycluster
from tests.support.ports import free_port
from tests.support.program import Run, output_until, start

PORT = free_port()


@pytest.fixture
def chosen(
    tmp_path: Path, toy: Path, dlv: Path, go_version: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    made = toycluster.load(tmp_path, free_port())
    toycluster.write(made, toy, dlv, go_version)
    monkeypatch.setitem(registry.COMPONENTS, "toy", toycluster.spec(PORT))
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", toycluster.accept)
    return made


@pytest.fixture
def staying(chosen: Settings) -> Iterator[Run]:
    run = begin(chosen)
    try:
        output_until(run, "staying")
        yield run
    finally:
        run.kill()
        run.communicate()
        swap.kill(chosen, "toy")
        processes.stop(chosen, "toy")


def begin(chosen: Settings, *more: str) -> Run:
    return start("toyforeground", chosen.paths.home, chosen.debug.base_port, PORT, *more)


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
def test_a_signal_stops_everything(chosen: Settings, staying: Run, number: int, code: int) -> None:
    assert not nothing_runs(chosen)
    staying.send_signal(number)
    output, _ = staying.communicate(timeout=120)
    assert staying.returncode == code
    assert nothing_runs(chosen)
    assert ("stopped toy" in output) == (number != signal.SIGHUP), (
        "after SIGHUP there is no terminal to print on"
    )


@pytest.mark.parametrize("mode", ["attach", "exec"])
def test_a_debugged_component_stops_with_its_debugger(
    chosen: Settings, staying: Run, mode: str
) -> None:
    with files.locked(chosen.paths.run / "toy.lock"):  # as doit debug does
        toycluster.enter(chosen, swap.request(chosen, "toy", swap.as_mode(mode)))
    staying.send_signal(signal.SIGINT)
    output, _ = staying.communicate(timeout=120)
    assert staying.returncode == 130 and "terminated" not in output and "stopped toy" in output
    assert nothing_runs(chosen)
    assert ports.owner(registry.debug_port(chosen, "toy")) is None
    assert swap.load(chosen, "toy") is None


def test_an_exit_is_reported_with_the_log_and_watched_on(chosen: Settings, staying: Run) -> None:
    with Path(record(chosen).log).open("a") as log:
        log.write("my last words\n")
    signals.stop(record(chosen).identity, ((signal.SIGKILL, 5.0),))
    output = output_until(staying, "doit start:toy")
    assert "warning: toy (pid " in output and "  | my last words" in output
    processes.start(chosen, processes.desired_component(chosen, "toy"))
    output_until(staying, f"toy runs again, as pid {record(chosen).identity.pid}")
    with files.locked(chosen.paths.run / "toy.lock"):  # as doit stop does
        processes.stop(chosen, "toy")
    output, _ = staying.communicate(timeout=120)
    assert "toy was stopped" in output and "nothing left to watch" in output
    assert staying.returncode == 0


def test_a_start_that_fails_leaves_no_process(chosen: Settings) -> None:
    run = begin(chosen, "broken")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1 and "staying" in output and "stopped toy" in output
    assert nothing_runs(chosen)


def test_the_default_is_not_to_stay() -> None:
    made = load.load({"ENABLE_DAEMON": "false"})
    assert not made.start.daemon
    assert load.load({}).start.daemon, "the default is to return, unlike upstream's"
