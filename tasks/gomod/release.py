"""Release numbers: read them, compare them, write them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tasks.core.errors import Failure

Release = tuple[int, int, int]
"""A version as numbers, (1, 15, 15); a missing patch is 0."""

_NUMBER = r"(\d+)\.(\d+)(?:\.(\d+))?"


def release(text: str) -> Release | None:
    """Read go1.15.15, v3.5.30 or 1.25; None for anything else, pre-releases included."""
    match = re.fullmatch(rf"(?:go|v)?{_NUMBER}", text.strip())
    return _numbers(match) if match else None


def require_release(text: str, key: str) -> Release:
    """Read a release as `release` does; a Failure names the setting or file it came from."""
    found = release(text)
    if found is None:
        raise Failure(f"{key}: {text!r} is not a release", "write it like 1.25.1")
    return found


def dotted(version: Iterable[int]) -> str:
    """Write numbers as a version: 1.15.15."""
    return ".".join(str(number) for number in version)


def _numbers(match: re.Match[str]) -> Release:
    return int(match[1]), int(match[2]), int(match[3] or 0)
