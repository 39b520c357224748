"""Report of a run as JSON, for the run of stepkube that started it: tasks, notes, failure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tasks.system import files

VARIABLE = "STEPKUBE_REPORT"
"""Path of the report; without it, no report is written."""


@dataclass
class Report:
    """What the tasks of a run did; the fields are the JSON keys."""

    notes: dict[str, list[str]] = field(default_factory=dict)
    """Notes of each task that ran."""
    failure: str = ""
    """Message and fix of the first task that failed; empty if none did."""

    def add(self, task: str, result: str, notes: Sequence[str]) -> None:
        """Add a task that ran with success."""
        if result == "ok":
            self.notes[task] = list(notes)

    def fail(self, message: str) -> None:
        """Add a task that failed."""
        self.failure = self.failure or message

    def write(self) -> None:
        """Write the report if the environment names a file for it."""
        path = os.environ.get(VARIABLE)
        if path:
            files.write_json(Path(path), asdict(self))
