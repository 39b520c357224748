"""Entries of a log (klog text and JSON, etcd, containerd, Delve), each with its time and level."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_KLOG = re.compile(r"([IWEF])(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) ")
"""Local time without a year: k8s.io/klog, formatHeader."""
_LOGFMT = re.compile(r'time="([^"]+)"(?: level=(\w+))?')
"""containerd (logrus)."""
_DATE = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?(?: (\w+))?"
)
"""etcd up to 3.4 (capnslog: `2020-01-01 10:00:00.123456 I | `), Delve, Go's package log."""
_LEVELS = {
    "i": "info", "w": "warning", "e": "error", "f": "fatal", "c": "fatal", "d": "debug",
    "info": "info", "warn": "warning", "warning": "warning", "error": "error", "fatal": "fatal",
    "panic": "fatal", "debug": "debug", "trace": "debug", "n": "info",
}  # fmt: skip
_MILLISECONDS = 1e11
"""A larger number is a time in milliseconds: klog's JSON; etcd writes seconds or a text."""


@dataclass(frozen=True)
class Entry:
    """An entry of a log: a line with a time, and the lines without one after it."""

    component: str
    at: float
    """Epoch seconds; those of the entry before it when a line has no time."""
    level: str
    """debug, info, warning, error, fatal; empty when the line does not say it."""
    text: str
    """The lines as they are in the log."""


@dataclass
class Parser:
    """Turns the lines of one log into entries whose times never go back."""

    component: str
    newest: float
    """A time in epoch seconds that no line is later than by a day: klog writes no year."""
    _at: float = field(default=0.0, init=False)

    def entries(self, lines: Iterable[str]) -> Iterator[Entry]:
        """Yield the entries of complete lines."""
        level, text, start = "", list[str](), self._at
        for line in lines:
            found = parse(line, self.newest)
            if found is not None:
                if text:
                    yield Entry(self.component, start, level, "\n".join(text))
                self._at = max(self._at, found[0])
                start, level, text = self._at, found[1], []
            text.append(line)
        if text:
            yield Entry(self.component, start, level, "\n".join(text))


def parse(line: str, newest: float) -> tuple[float, str] | None:
    """Return the time and level of a line; None when it has no time. See Parser.newest."""
    try:
        if line[:1] == "{":
            return _json(line)
        if line[:1] in ("I", "W", "E", "F") and (match := _KLOG.match(line)):
            return _klog(match, newest), _LEVELS[match[1].lower()]
        if line.startswith('time="') and (match := _LOGFMT.match(line)):
            return _date(match[1]), _LEVELS.get(match[2] or "", "")
        if line[:1].isdigit() and (match := _DATE.match(line)):
            return _date(match[0].removesuffix(f" {match[9]}")), _level(match[9])
    except (ValueError, OverflowError, OSError):  # a date such as month 13
        pass
    return None


def _json(line: str) -> tuple[float, str] | None:
    value: Any = json.loads(line)
    at = value.get("ts", value.get("time"))
    level = _level(str(value.get("level", "error" if "err" in value else "info")))
    if isinstance(at, str):
        return _date(at), level
    if isinstance(at, int | float):
        return (at / 1000 if at > _MILLISECONDS else float(at)), level
    return None


def _klog(match: re.Match[str], newest: float) -> float:
    """Return the time of a klog line: the last one with this date that is not after `newest`."""
    year = time.localtime(newest).tm_year
    month, day, hour, minute, second, fraction = map(int, match.groups()[1:])
    for candidate in (year + 1, year, year - 1):
        if day <= 28 or month != 2 or _is_leap(candidate):
            moment = datetime(candidate, month, day, hour, minute, second, fraction)
            if moment.timestamp() <= newest + 86400:
                return moment.timestamp()
    raise ValueError(match[0])


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _date(text: str) -> float:
    """Return a date with a time as epoch seconds; local time when it has no offset."""
    return datetime.fromisoformat(text.replace("/", "-")).timestamp()


def _level(word: str | None) -> str:
    return _LEVELS.get((word or "").lower(), "")


def clock(at: float) -> str:
    """Return epoch seconds as local date and time with milliseconds."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%m-%d %H:%M:%S.%f")[:-3]
