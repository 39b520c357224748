"""Release numbers: parse, compare and format them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tasks.core.errors import Failure

Release = tuple[int, int, int]
"""A version as (major, minor, patch), for example (1, 15, 15); a missing patch is 0."""

_NUMBER = r"([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?"


def release(text: str) -> Release | None:
    """Parse go1.15.15, v3.5.30 or 1.25; return None for anything else, also for pre-releases."""
    match = re.fullmatch(rf"(?:go|v)?{_NUMBER}", text.strip())
    return _numbers(match) if match else None


def require_release(text: str, key: str) -> Release:
    """Parse a release like `release`. Raises Failure, which names the setting or file `key`."""
    version = release(text)
    if version is None:
        raise Failure(f"{key}: {text!r} is not a release", "use a form like 1.25.1")
    return version


def dotted(version: Iterable[int]) -> str:
    """Format a release as text: 1.15.15."""
    return ".".join(str(number) for number in version)


def _numbers(match: re.Match[str]) -> Release:
    return int(match[1]), int(match[2]), int(match[3] or 0)
