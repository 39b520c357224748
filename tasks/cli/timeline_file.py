"""Timeline file of a run (logs.timeline): checked before the first task, written after the last."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tasks.core import console, doit_run, timeline
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files, procfs


def record(settings: Settings) -> None:
    """Start to record the timeline. Raises Failure if the file cannot be written."""
    path = Path(settings.logs.timeline)
    writable = path.parent.is_dir() and os.access(path.parent, os.W_OK)
    if not writable or path.is_dir():
        raise Failure(
            f"{settings.source('logs.timeline')}: cannot write the file {path}",
            "use a file in an existing folder that you can write to",
        )
    timeline.record()
    doit_run.current().timeline = path


def add_start_up() -> None:
    """Add the time from the start of this process until now: Python, imports, settings."""
    if timeline.is_recorded():
        start = procfs.start_time(os.getpid())
        now = timeline.now()
        timeline.add("start of doit", "start-up", min(start or now, now), now)


def write() -> None:
    """Write the recorded timeline; an error is printed as a warning, because the run is done."""
    run = doit_run.current()
    if run.timeline is None or run.spans is None:
        return
    try:
        files.write(run.timeline, json.dumps(timeline.document(run.spans)))
    except Failure as failure:
        console.warn(str(failure))
    else:
        text = f"timeline: {run.timeline} (open it on https://ui.perfetto.dev)"
        console.say(text, stream=sys.stderr)  # stdout can be a JSON document
