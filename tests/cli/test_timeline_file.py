"""Option --timeline and setting logs.timeline, in a whole run of doit."""

import json
import os
import stat
from pathlib import Path

import pytest

from tasks.cli import command_line, timeline_file
from tasks.core import doit_run, timeline
from tasks.settings import load
from tests.support import traces
from tests.support.doit import doit


def test_the_option_of_up_is_the_setting() -> None:
    words = ["up", "--timeline", "trace.json"]
    assert command_line.settings_from_up_options(words) == {"logs.timeline": "trace.json"}


def test_a_run_writes_its_tasks(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    done = doit(tmp_path / "home", "check", f"logs.timeline={file}")
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stderr and "timeline" not in done.stdout
    names = {event["name"] for event in traces.check(json.loads(file.read_text()))}
    assert {"start of doit", "check"} <= names
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_failed_run_writes_it_too(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    words = ("checkout", f"logs.timeline={file}", "origin.path=/no/such/tree", "version=v1.20.2")
    assert doit(tmp_path / "home", *words).returncode == 1
    events = traces.check(json.loads(file.read_text()))
    failed = [event["name"] for event in events if event["args"].get("result") == "failed"]
    assert failed, events


@pytest.mark.parametrize("place", ["missing/trace.json", "."])
def test_a_file_that_cannot_be_written_is_refused_before_any_task(
    tmp_path: Path, place: str
) -> None:
    done = doit(tmp_path / "home", "check", f"logs.timeline={tmp_path / place}")
    assert done.returncode == 1
    assert "logs.timeline" in done.stderr and "fix:" in done.stderr
    assert "Traceback" not in done.stderr and "done" not in done.stdout


@pytest.mark.parametrize("words", [("status",), ("list",), ("help", "up")])
def test_commands_that_only_look_need_no_file(tmp_path: Path, words: tuple[str, ...]) -> None:
    environ = {"STEPKUBE_LOGS_TIMELINE": str(tmp_path / "missing/trace.json")}
    assert doit(tmp_path / "home", *words, **environ).returncode == 0


def test_a_full_disk_at_the_end_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    loaded = load.load({}, {"logs.timeline": "trace.json"}, Path(os.devnull), folder)
    timeline_file.record(loaded)
    timeline.add("a", "task", 1.0, 2.0)
    path = doit_run.current().timeline
    assert path == folder / "trace.json"
    folder.rmdir()
    folder.touch()
    timeline_file.write()
    assert f"cannot write {path}" in capsys.readouterr().err
