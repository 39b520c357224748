"""Measure commands: wall time and processor time of the process tree, runs taken in turn."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.system.run import run


@dataclass(frozen=True)
class Sample:
    """Times of one run in seconds."""

    wall: float
    processor: float
    """User and system time of the command and of all processes that it waited for."""


def command(
    *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[Sample, str]:
    """Run a command; return its times and its output. Raises Failure when it exits non-zero."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    result = run(*argv, cwd=cwd, env=env)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(wall, processor), result.stdout + result.stderr


def in_turn(
    runs: int, *functions: Callable[[], Sample], progress: Callable[[int], None]
) -> list[list[Sample]]:
    """Call the functions one after the other, `runs` times; return the samples of each one.

    Taken in turn, a machine that gets slower or faster changes all of them in the same way.
    """
    samples: list[list[Sample]] = [[] for _ in functions]
    for number in range(runs):
        progress(number + 1)
        for mine, function in zip(samples, functions, strict=True):
            mine.append(function())
    return samples


def median(values: Sequence[float]) -> float:
    """Return the median of some values."""
    import statistics  # noqa: PLC0415 - `doit list` stays fast

    return statistics.median(values)


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios of the pairs that were taken in turn."""
    return median([value / other for value, other in zip(values, others, strict=True) if other])
