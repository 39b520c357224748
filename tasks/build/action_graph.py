"""Action graph of `go build` (-debug-actiongraph): which commands go ran, when and how long.

The flag is not documented; cmd/go/internal/work/action.go (actionJSON) describes the file. Go
writes it at the start of a build, without times, and again at the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tasks.build.go_command import go_minor
from tasks.core import timeline
from tasks.core.doit_run import Span

GO_WITH_ACTION_GRAPH = (1, 11)
"""First Go that has -debug-actiongraph."""
_NEVER = "0001-"
"""Beginning of a time that Go has not set."""


@dataclass(frozen=True)
class Action:
    """An action for which go ran commands: not one that go found in its cache."""

    package: str
    mode: str
    """build (compile a package) or link."""
    start: float
    """Epoch seconds."""
    end: float
    processor: float
    """Processor seconds of the commands; 0 if Go does not say it."""

    @property
    def wall(self) -> float:
        """The seconds from start to end."""
        return self.end - self.start


def is_known(go: str) -> bool:
    """Return whether a Go version has the flag."""
    return go_minor(go) >= GO_WITH_ACTION_GRAPH


def arguments(path: Path) -> list[str]:
    """Return the arguments of `go build` that write the action graph to a file."""
    return ["-debug-actiongraph", str(path)]


def load(path: Path) -> list[Action]:
    """Return the actions of a file that ran commands; empty without a complete file."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return [
            Action(
                row["Package"],
                row["Mode"],
                datetime.fromisoformat(row["TimeStart"]).timestamp(),
                datetime.fromisoformat(row["TimeDone"]).timestamp(),
                (row.get("CmdUser", 0) + row.get("CmdSys", 0)) / 1e9,
            )
            for row in json.loads(path.read_text())
            if row["Cmd"] and not row["TimeDone"].startswith(_NEVER)
        ]
    return []


def spans(actions: Sequence[Action]) -> list[Span]:
    """Return the actions as spans of the process `go build`, one lane per parallel action."""
    lanes = timeline.in_lanes([(action.start, action.end) for action in actions])
    return [
        Span(
            f"{action.mode} {action.package}",
            f"go {action.mode}",
            action.start,
            action.end,
            timeline.GO,
            f"job {lane + 1}",
            {"processor": f"{action.processor:.2f} s"},
        )
        for action, lane in zip(actions, lanes, strict=True)
    ]
