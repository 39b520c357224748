"""Stacks of goroutines in a log: a Go program prints them after the reason why it exits."""

from __future__ import annotations

import re
from collections.abc import Sequence

_GOROUTINE = re.compile(r"goroutine \d+ \[.*\]:$")
_FRAME = re.compile(r"(\S+\(.*\)|\t\S+:\d+( \+0x[0-9a-f]+)?|created by \S.*|\s*|goroutine \d+ .*)$")
"""A line of a stack, as runtime.Stack and a panic print it."""


def without_stacks(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines without the stacks of goroutines at their end."""
    end = first = len(lines)
    while end and _FRAME.match(lines[end - 1]):
        end -= 1
        if _GOROUTINE.match(lines[end]):
            first = end
    return lines[:first]
