"""Several runs of one instance at the same time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.cluster import status
from tasks.settings.load import Settings
from tasks.system import process
from tests.support.program import Run, line_with, start


class Runs:
    """Starts runs of doit on a gated component, and opens its gate."""

    def __init__(self, made: Settings, port: int, fifo: Path) -> None:
        self.made, self.port, self.fifo = made, port, fifo
        self.started: list[Run] = []
        os.mkfifo(fifo)

    def __call__(self, *words: str) -> Run:
        arguments = [self.made.paths.home, self.made.debug.base_port, self.port, self.fifo, *words]
        run = start("toyup", *arguments)
        self.started.append(run)
        return run

    def open_gate(self) -> None:
        self.fifo.write_text("")

    def wait_started(self, run: Run) -> process.Record:
        def starts() -> bool:
            return process.load(self.made.paths.run, "toy") is not None

        assert process.until(starts, lambda: run.poll() is None, 60.0)
        found = process.load(self.made.paths.run, "toy")
        assert found is not None
        return found


@pytest.fixture
def runs(gated: Settings, port: int, tmp_path: Path) -> Iterator[Runs]:
    made = Runs(gated, port, tmp_path / "gate")
    yield made
    for run in made.started:
        run.kill()
        run.communicate()


def test_a_second_up_waits_until_the_first_one_is_ready(gated: Settings, runs: Runs) -> None:
    first = runs("start:toy")
    record = runs.wait_started(first)
    assert [row.health for row in status.rows(gated) if row.name == "toy"] == ["starting"]
    others = [runs("start:toy") for _ in range(2)]
    for other in others:
        waiting = line_with(other, "waiting")
        assert f"pid {first.pid} " in waiting and "toy.lock" in waiting
        assert "waiting" in line_with(other, "waiting"), "it keeps saying it"
    runs.open_gate()
    for run in (first, *others):
        output, _ = run.communicate(timeout=60)
        assert run.returncode == 0, output
    assert process.load(gated.paths.run, "toy") == record, "started once"


def test_down_waits_for_a_running_up_and_stops_all_of_it(gated: Settings, runs: Runs) -> None:
    up = runs("start:toy")
    record = runs.wait_started(up)
    down = runs("down")
    assert f"pid {up.pid} " in line_with(down, "waiting")
    assert record.identity.alive()
    late = runs("start:toy")
    line_with(late, "waiting")
    late.send_signal(signal.SIGINT)
    output, _ = late.communicate(timeout=60)
    assert late.returncode == 130 and "SIGINT" in output and "Traceback" not in output
    runs.open_gate()
    assert up.wait(60) == 0 and down.wait(60) == 0
    assert not record.identity.alive()
    assert process.load(gated.paths.run, "toy") is None


def test_down_does_not_wait_for_its_own_run(gated: Settings, runs: Runs) -> None:
    both = runs("start:toy", "down")
    runs.open_gate()
    assert both.wait(60) == 0
    assert process.load(gated.paths.run, "toy") is None
