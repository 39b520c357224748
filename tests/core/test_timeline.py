import random
import threading
import time

import pytest

from tasks.core import doit_run, timeline
from tasks.core.doit_run import Span
from tests.support import traces


def test_without_a_timeline_nothing_is_recorded() -> None:
    with timeline.span("a", "task"):
        pass
    assert doit_run.current().spans is None and not timeline.is_recorded()


def test_nested_spans_are_a_valid_trace() -> None:
    timeline.record()
    with timeline.span("outer", "task"):
        with timeline.span("first", "command", command="go list"):
            pass
        with pytest.raises(OSError), timeline.span("second", "wait"):
            raise OSError
    events = traces.check(timeline.document(doit_run.current().spans or []))
    assert [event["name"] for event in events] == ["outer", "first", "second"]
    assert events[1]["args"] == {"command": "go list"}
    assert events[0]["ts"] == 0


def test_each_thread_has_its_own_lane() -> None:
    spans = doit_run._PROCESS.spans
    doit_run._PROCESS.spans = []  # what a new thread sees
    try:
        both = threading.Barrier(2)

        def work() -> None:
            with timeline.span("work", "task"):
                both.wait(10)

        threads = [threading.Thread(target=work, name=f"worker {number}") for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        events = traces.check(timeline.document(doit_run._PROCESS.spans))
    finally:
        doit_run._PROCESS.spans = spans
    assert len({event["tid"] for event in events}) == 2


def test_parallel_intervals_get_lanes_without_overlap() -> None:
    random.seed(7)
    starts = [random.uniform(0, 20) for _ in range(300)]
    intervals = [(start, start + random.uniform(0, 3)) for start in starts]
    lanes = timeline.in_lanes(intervals)
    spans = [
        Span("compile", "go build", start, end, timeline.GO, f"job {lane}")
        for (start, end), lane in zip(intervals, lanes, strict=True)
    ]
    traces.check(timeline.document(spans))
    most = max(sum(a <= moment < b for a, b in intervals) for moment in starts)
    assert len(set(lanes)) == most, "more lanes than jobs at the same time"


def test_times_are_epoch_seconds_that_never_go_back() -> None:
    times = [timeline.now() for _ in range(1000)]
    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < 5


def test_an_empty_timeline_is_a_valid_trace() -> None:
    assert traces.check(timeline.document([])) == []
