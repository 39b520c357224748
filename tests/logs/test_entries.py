"""Times and levels of the log formats, and lines that belong together."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from tasks.core.errors import Failure
from tasks.logs import entries
from tasks.logs.since import since

NOW = datetime(2026, 11, 30, 18, 0, 0).timestamp()
LOCAL = datetime(2026, 11, 30, 17, 9, 7, 123456).timestamp()
UTC = datetime.fromisoformat("2026-11-30T17:09:07.123456+00:00").timestamp()


@pytest.mark.parametrize(
    ("line", "at", "level"),
    [
        ("I1130 17:09:07.123456    6908 gate.go:243] gates: {}", LOCAL, "info"),
        ("E1130 17:09:07.123456 1 a.go:1] b", LOCAL, "error"),
        ("F1130 17:09:07.123456 1 a.go:1] b", LOCAL, "fatal"),
        (f'{{"ts":{UTC * 1000:.4f},"caller":"a.go:1","msg":"x","v":0}}', UTC, "info"),
        (f'{{"ts":{UTC * 1000:.4f},"msg":"x","err":"y"}}', UTC, "error"),
        (f'{{"level":"warn","ts":{UTC},"msg":"x"}}', UTC, "warning"),
        ('{"level":"warn","ts":"2026-11-30T17:09:07.123456Z","msg":"x"}', UTC, "warning"),
        ('{"level":"info","ts":"2026-11-30T18:09:07.123456+0100","msg":"x"}', UTC, "info"),
        ("2026-11-30 17:09:07.123456 E | etcdserver: x", LOCAL, "error"),
        ('time="2026-11-30T17:09:07.123456789Z" level=info msg="x"', UTC, "info"),
        ("2026-11-30T17:09:07.123456Z debug layer=debugger x", UTC, "debug"),
        ("2026/11/30 17:09:07.123456 listening", LOCAL, ""),
    ],
)
def test_every_format(line: str, at: float, level: str) -> None:
    found = entries.parse(line, NOW)
    assert found is not None
    assert found[0] == pytest.approx(at, abs=0.001)
    assert found[1] == level


@pytest.mark.parametrize(
    "line",
    [
        "",
        "panic: x",
        "{",
        "[]",
        '{"a":1}',
        "I1399 99:00:00.000000 x",
        "E",
        "2026-13-41T00:00:00Z x",
    ],
)
def test_a_line_without_a_time(line: str) -> None:
    assert entries.parse(line, NOW) is None


def test_the_year_of_klog_is_that_of_the_last_such_day() -> None:
    new_year = datetime(2026, 1, 1, 0, 5).timestamp()
    found = entries.parse("I1231 23:59:59.000000 1 a.go:1] x", new_year)
    assert found is not None and datetime.fromtimestamp(found[0]).year == 2025
    found = entries.parse("I0229 01:00:00.000000 1 a.go:1] x", datetime(2024, 3, 1).timestamp())
    assert found is not None and datetime.fromtimestamp(found[0]).year == 2024


def test_a_stack_belongs_to_the_line_before_it() -> None:
    parser = entries.Parser("toy", NOW)
    lines = [
        "Flag --x is deprecated",
        "E1130 17:09:08.000000 1 a.go:1] Observed a panic",
        "goroutine 1 [running]:",
        "\tmain.main()",
        "I1130 17:09:07.000000 1 a.go:1] written later, with an older time",
    ]
    found = list(parser.entries(lines))
    assert [entry.text.count("\n") for entry in found] == [0, 2, 0]
    assert [entry.at for entry in found] == sorted(entry.at for entry in found)


def test_since() -> None:
    assert since("") == 0
    assert since("1h30m") == pytest.approx(time.time() - 5400, abs=60)
    assert since("2d") == pytest.approx(time.time() - 172800, abs=60)
    assert datetime.fromtimestamp(since("7:05")).minute == 5
    assert since("2026-11-30T17:09:07.123456Z") == pytest.approx(UTC)
    for wrong in ("10", "ten", "25:00", "-5m", "1m1h"):
        with pytest.raises(Failure, match="--since"):
            since(wrong)
