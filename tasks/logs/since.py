"""The value of --since: a duration before now, a time of today, or a date with a time."""

from __future__ import annotations

import re
import time
from datetime import datetime

from tasks.core.errors import Failure

_DURATION = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")
_UNITS = (86400, 3600, 60, 1)


def since(text: str) -> float:
    """Return a value of --since as epoch seconds; 0 for an empty one. Raises Failure."""
    if not text:
        return 0.0
    if match := _DURATION.fullmatch(text):
        return time.time() - sum(
            int(number or 0) * unit for number, unit in zip(match.groups(), _UNITS, strict=True)
        )
    try:
        if re.fullmatch(r"\d\d?:\d\d(:\d\d)?", text):
            parts = [int(part) for part in text.split(":")]
            today = datetime.now().astimezone()
            return today.replace(
                hour=parts[0], minute=parts[1], second=sum(parts[2:]), microsecond=0
            ).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise Failure(
            f"option --since: {text} is not a duration or a time",
            "write for example --since=10m, --since=17:05 or --since=2026-01-31T17:05:00",
        ) from error
