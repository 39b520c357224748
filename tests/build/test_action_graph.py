import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.build import action_graph, sources
from tasks.build import tasks as build
from tasks.core import doit_run, timeline
from tasks.settings.load import Settings
from tests.support import traces


def row(package: str, start: float, end: float, **more: object) -> dict[str, object]:
    def time(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")

    known = {"ID": 1, "Mode": "build", "Package": package, "Cmd": ["compile"]}
    return {**known, "TimeStart": time(start), "TimeDone": time(end), **more}


def test_only_actions_that_ran_a_command_count(tmp_path: Path) -> None:
    never = "0001-01-01T00:00:00Z"
    rows = [
        row("a", 100.0, 101.5, CmdUser=1_000_000_000, CmdSys=250_000_000),
        row("cached", 100.0, 100.1, Cmd=None),
        row("stopped", 100.0, 100.1, TimeDone=never),
        row("cmd", 102.0, 103.0, Mode="link"),
    ]
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(rows))
    found = action_graph.load(file)
    assert [(action.package, action.mode) for action in found] == [("a", "build"), ("cmd", "link")]
    assert (found[0].start, found[0].end, found[0].processor) == (100.0, 101.5, 1.25)
    assert found[1].processor == 0.0


@pytest.mark.parametrize("text", [None, "", "[{", "{}", '[{"Package": "a"}]', "[1]"])
def test_a_file_that_go_did_not_complete_has_no_actions(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "graph.json"
    if text is not None:
        file.write_text(text)
    assert action_graph.load(file) == []


def test_nanoseconds_and_other_time_zones_are_read(tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    times = {
        "TimeStart": "2026-01-01T01:00:00.123456789+01:00",
        "TimeDone": "2026-01-01T00:00:01.5Z",
    }
    file.write_text(json.dumps([row("a", 0, 1, **times)]))
    (found,) = action_graph.load(file)
    assert found.end - found.start == pytest.approx(1.376543, abs=1e-5)


def test_go_without_the_flag_does_not_get_it() -> None:
    assert not action_graph.is_known("1.10.8") and action_graph.is_known("1.11")


def test_a_build_adds_the_actions_of_go(chosen: Settings) -> None:
    timeline.record()
    assert sources.refresh(chosen, "kube-scheduler") is None
    assert build.build(chosen, "kube-scheduler") is None
    events = traces.check(timeline.document(doit_run.current().spans or []))
    actions = {event["name"]: event for event in events if event["cat"].startswith("go ")}
    link = actions["link k8s.io/kubernetes/cmd/kube-scheduler"]
    assert "build k8s.io/kubernetes/pkg/scheduler" in actions
    command = next(event for event in events if "go build" in event["args"].get("command", ""))
    assert command["name"] == "go" and command["pid"] != link["pid"]
    assert command["ts"] <= link["ts"]
    assert link["ts"] + link["dur"] <= command["ts"] + command["dur"]


def test_a_build_without_a_timeline_asks_go_for_no_graph(chosen: Settings) -> None:
    commands: list[str] = []
    doit_run.current().command_listeners.append(lambda argv: commands.append(" ".join(argv)))
    assert sources.refresh(chosen, "kube-scheduler") is None
    assert build.build(chosen, "kube-scheduler") is None
    assert any(" build " in command for command in commands)
    assert "actiongraph" not in "".join(commands)
