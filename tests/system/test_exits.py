"""How a component exited is written by its parent, and nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.system import exits, process, procfs, signals


def start(run: Path, *argv: str) -> process.Record:
    exit_file = exits.path(run, "toy")
    record = process.spawn(
        "toy", argv, {}, cwd=run, log=run / "log", fingerprint="", exit_file=exit_file
    )
    process.save(run, record)
    return record


def reaper_of(record: process.Record) -> procfs.Identity:
    parent = int(procfs.status(Path(f"/proc/{record.identity.pid}"), "PPid"))
    found = procfs.identify(parent)
    assert found is not None and "reaper.py" in " ".join(procfs.argv_of(parent))
    return found


def test_a_late_reaper_leaves_no_file(tmp_path: Path) -> None:
    record = start(tmp_path, "sleep", "600")
    reaper = reaper_of(record)
    os.kill(reaper.pid, signal.SIGSTOP)
    assert process.until(lambda: procfs.is_stopped(reaper.pid), reaper.alive, 60.0)
    assert signals.stop(record.identity)
    process.forget(tmp_path, "toy")
    os.kill(reaper.pid, signal.SIGCONT)
    assert signals.wait_gone(reaper, 60.0)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_late_reaper_says_nothing_about_the_next_process(tmp_path: Path) -> None:
    first = start(tmp_path, "sleep", "600")
    reaper = reaper_of(first)
    os.kill(reaper.pid, signal.SIGSTOP)
    assert process.until(lambda: procfs.is_stopped(reaper.pid), reaper.alive, 60.0)
    assert signals.stop(first.identity)
    process.forget(tmp_path, "toy")
    second = start(tmp_path, "sleep", "600")
    os.kill(reaper.pid, signal.SIGCONT)
    assert signals.wait_gone(reaper, 60.0)
    assert not exits.path(tmp_path, "toy").exists()
    os.kill(second.identity.pid, signal.SIGKILL)
    assert process.until(exits.path(tmp_path, "toy").exists, lambda: True, 60.0)
    found = exits.load(tmp_path, "toy", second.since, tmp_path / "log")
    assert found.status == -signal.SIGKILL
    assert exits.path(tmp_path, "toy").stat().st_mode & 0o777 == 0o600


def test_a_program_that_cannot_be_executed_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="/no/such"):
        start(tmp_path, "/no/such")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"at": "x", "status": []}', "{}"])
def test_a_damaged_exit_file_is_no_reason_to_fail(tmp_path: Path, text: str) -> None:
    exits.path(tmp_path, "toy").write_text(text)
    assert exits.load(tmp_path, "toy", 0.0, tmp_path / "log") == exits.Exit(None, None)


@pytest.mark.parametrize(
    ("code", "words"), [(137, "SIGKILL"), (143, "SIGTERM"), (3, "code 3"), (255, "code 255")]
)
def test_docker_reports_a_signal_as_an_exit_code(code: int, words: str) -> None:
    client = exits.Exit(None, code)
    assert words in str(exits.of_container(client))
    assert str(exits.of_container(replace(client, status=None))) == str(exits.Exit(None, None))


def test_python_runs_the_reaper_without_a_site(tmp_path: Path) -> None:
    record = start(tmp_path, sys.executable, "-c", "raise SystemExit(5)")
    assert process.until(exits.path(tmp_path, "toy").exists, lambda: True, 60.0)
    assert exits.load(tmp_path, "toy", record.since - 60, tmp_path / "log").status == 5
