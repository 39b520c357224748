"""`up` starts components side by side, and waits for one when another needs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.components import registry
from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.runtime import accepted_flags, processes, readiness
from tasks.settings.load import Settings
from tasks.system import files, lock_wait, ports, process
from tests.support import toycluster, toyup
from tests.support.ports import free_port

NAMES = ("first", "second")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Yield settings of a workspace with two gated components; `up` is selected."""
    chosen = toycluster.load(tmp_path, free_port())
    toycluster.write(chosen, tmp_path / "toy", tmp_path / "dlv", "1.26")
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", toycluster.accept)
    for name in NAMES:
        fifo = tmp_path / f"{name}.gate"
        os.mkfifo(fifo)
        spec = toyup.spec(free_port(), str(fifo), name=name)
        monkeypatch.setitem(registry.COMPONENTS, name, spec)
    run = doit_run.current()
    run.dependencies = {"up": ["start:first", "start:second"], "start:first": []}
    run.selected = ("up",)
    yield chosen
    for name in NAMES:
        processes.stop(chosen, name)


def lock(made: Settings, name: str) -> Path:
    return made.paths.run / f"{name}.lock"


def start(made: Settings, name: str) -> process.Record:
    with ExitStack() as locks:
        locks.enter_context(readiness.locked(made, name))
        return readiness.start(made, processes.desired_component(made, name), locks)


def open_gate(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.gate").write_text("")


def test_two_start_at_once_and_are_locked_until_they_are_ready(
    made: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(readiness, "SHOWN", 0.0)
    records = [start(made, name) for name in NAMES]
    assert all(record.identity.alive() for record in records)
    assert all(files.is_locked(lock(made, name)) for name in NAMES)
    open_gate(tmp_path, "second")
    readiness.require("second", "unknown")
    assert not files.is_locked(lock(made, "second")) and files.is_locked(lock(made, "first"))
    open_gate(tmp_path, "first")
    readiness.require_all()
    assert not files.is_locked(lock(made, "first"))
    readiness.require_all()
    assert capsys.readouterr().out.count("until second was ready") == 1


def test_one_that_exits_fails_whatever_needs_it(made: Settings) -> None:
    record = start(made, "first")
    os.kill(record.identity.pid, 9)
    for _ in range(2):
        with pytest.raises(Failure) as failed:
            readiness.require("first")
        assert "first" in failed.value.message and "exited" in failed.value.message
    assert not files.is_locked(lock(made, "first"))


def test_it_keeps_no_lock_while_it_waits_for_the_lock_of_another_run(
    made: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(made, "first")
    open_gate(tmp_path, "first")
    seen = []

    def other_run_finishes(path: Path) -> None:
        seen.append(files.is_locked(lock(made, "first")))
        os.close(held)

    held = files.open_lock(lock(made, "second"))
    files.lock(held, lock(made, "second"))
    monkeypatch.setattr(lock_wait, "announced", Announced(other_run_finishes))
    record = start(made, "second")
    assert seen == [False] and record.identity.alive()
    readiness.release_all()
    assert not files.is_locked(lock(made, "second"))


class Announced:
    """Stands in for the announcement of a wait, to see what is locked then."""

    def __init__(self, function: object) -> None:
        self.function = function

    def __call__(self, _: int, path: Path) -> ExitStack:
        assert callable(self.function)
        self.function(path)
        return ExitStack()


def test_a_start_without_up_waits(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    doit_run.current().selected = ("start:first",)
    monkeypatch.setitem(registry.COMPONENTS, "first", toyup.spec(free_port(), name="first"))
    start(made, "first")
    assert ports.healthy(processes.desired_component(made, "first").health)
    assert not files.is_locked(lock(made, "first"))
