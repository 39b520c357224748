"""Checks of a Chrome trace-event file, as Perfetto reads it."""

from __future__ import annotations

import itertools
from typing import Any


def check(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the complete events of a valid trace; fail for one that Perfetto would misread."""
    assert document["displayTimeUnit"] in ("ms", "ns")
    events = document["traceEvents"]
    processes = {event["pid"] for event in events if event["name"] == "process_name"}
    threads = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    assert all(event["args"]["name"] for event in events if event["ph"] == "M")
    complete = [event for event in events if event["ph"] != "M"]
    for event in complete:
        assert event["ph"] == "X" and event["name"] and event["cat"]
        assert event["pid"] in processes and (event["pid"], event["tid"]) in threads
        for key in ("pid", "tid", "ts", "dur"):
            assert isinstance(event[key], int) and event[key] >= 0, (key, event)
        assert all(isinstance(value, str) for value in event["args"].values())
    times = [event["ts"] for event in complete]
    assert times == sorted(times)
    for lane, group in itertools.groupby(
        sorted(complete, key=lambda event: (event["pid"], event["tid"], event["ts"])),
        key=lambda event: (event["pid"], event["tid"]),
    ):
        open_until: list[int] = []
        for event in group:
            end = event["ts"] + event["dur"]
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            assert not open_until or end <= open_until[-1], (lane, event, "overlaps its neighbour")
            open_until.append(end)
    return complete
