"""Timeline of a run: spans of tasks, commands, waits and downloads, as a Chrome trace-event file.

Perfetto and chrome://tracing open the file. The format is "Trace Event Format" of the Chromium
project: complete events (ph X) with ts and dur in microseconds, and metadata events (ph M).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tasks.core import doit_run
from tasks.core.doit_run import Span

DOIT, GO = "doit", "go build"
"""Names of the trace's processes: the steps of doit, and the actions of `go build`."""
_EPOCH = time.time() - time.monotonic()
"""Added to time.monotonic(), so that times are epoch seconds and never go backwards."""


def record() -> None:
    """Start to record the spans of this run."""
    doit_run.current().spans = []


def is_recorded() -> bool:
    """Return whether this run records a timeline."""
    return doit_run.current().spans is not None


def now() -> float:
    """Return the current time in epoch seconds; it never goes backwards within a process."""
    return _EPOCH + time.monotonic()


def add(name: str, category: str, start: float, end: float, **args: str) -> None:
    """Add a span of this thread if the run records a timeline."""
    add_spans([Span(name, category, start, end, DOIT, threading.current_thread().name, args)])


def add_spans(spans: Iterable[Span]) -> None:
    """Add spans if the run records a timeline."""
    recorded = doit_run.current().spans
    if recorded is not None:
        recorded += spans


@contextmanager
def span(name: str, category: str, **args: str) -> Iterator[None]:
    """Add a span of the time that the block takes if the run records a timeline."""
    start = now()
    try:
        yield
    finally:
        add(name, category, start, now(), **args)


def in_lanes(intervals: Sequence[tuple[float, float]]) -> list[int]:
    """Return a lane for each interval, so that intervals of one lane do not overlap."""
    ends: list[float] = []
    lanes = [0] * len(intervals)
    for index in sorted(range(len(intervals)), key=lambda index: intervals[index]):
        start, end = intervals[index]
        lane = next((lane for lane, free in enumerate(ends) if free <= start), len(ends))
        ends[lane : lane + 1] = [end]
        lanes[index] = lane
    return lanes


def document(spans: Sequence[Span]) -> dict[str, Any]:
    """Return the spans in the trace-event format, sorted by time; the first one starts at 0."""
    origin = min((span.start for span in spans), default=0.0)
    pids = _numbers(span.process for span in spans)
    tids = _numbers((span.process, span.thread) for span in spans)
    names: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
        for name, pid in pids.items()
    ]
    names += [
        {"ph": "M", "name": "thread_name", "pid": pids[process], "tid": tid, "args": {"name": name}}
        for (process, name), tid in tids.items()
    ]
    # of two spans with the same start, the longer one contains the other
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    events = [
        {
            "ph": "X",
            "name": span.name,
            "cat": span.category,
            "ts": _microseconds(span.start - origin),
            "dur": _microseconds(span.end - origin) - _microseconds(span.start - origin),
            "pid": pids[span.process],
            "tid": tids[span.process, span.thread],
            "args": dict(span.args),
        }
        for span in ordered
    ]
    return {"displayTimeUnit": "ms", "traceEvents": [*names, *events]}


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _numbers(keys: Iterable[Any]) -> Mapping[Any, int]:
    return {key: number for number, key in enumerate(dict.fromkeys(keys), 1)}
