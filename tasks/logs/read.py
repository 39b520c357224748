"""Read the log of a component with its older part, and follow it while it is moved there.

system/reaper.py moves the older part of a large log to LOG.1. It cuts anywhere in a line, so both
files are one stream of bytes.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tasks.logs.entries import Entry, Parser
from tasks.system import exits

LAST_BYTES = 1 << 20
"""Bytes of a log that are read for its last lines."""


@dataclass
class Log:
    """The log of one component."""

    component: str
    path: Path
    _parser: Parser = field(init=False)
    _inode: int = field(default=0, init=False)
    _offset: int = field(default=0, init=False)
    _older: tuple[int, int] = field(default=(0, 0), init=False)
    """Identity of the older part at the last read: each move makes a new file."""
    _rest: bytes = field(default=b"", init=False)
    """The start of a line whose end is not written yet."""

    def __post_init__(self) -> None:
        try:
            newest = self.path.stat().st_mtime
        except OSError:
            newest = time.time()
        self._parser = Parser(self.component, newest)

    def entries(self, *, all_of_it: bool = True, to_follow: bool = False) -> list[Entry]:
        """Return the entries, of the complete log or of its last LAST_BYTES; [] without a log.

        With `to_follow`, a line whose end is not written yet is left to `more`.
        """
        data = self._read(0 if all_of_it else LAST_BYTES, with_older=all_of_it)
        return self._parsed(data if to_follow or data.endswith(b"\n") else data + b"\n")

    def more(self) -> list[Entry]:
        """Return the entries that were written since the last call."""
        self._parser.newest = time.time()
        return self._parsed(self._rest + self._read(0))

    def _parsed(self, data: bytes) -> list[Entry]:
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        lines = data[:end].decode(errors="replace").splitlines()
        return list(self._parser.entries(lines))

    def _read(self, last: int, with_older: bool = False) -> bytes:
        """Return what was appended to the log; of it only the `last` bytes, if not 0."""
        try:
            stream = self.path.open("rb")
        except OSError:
            return b""
        with stream:
            fcntl.flock(stream.fileno(), fcntl.LOCK_SH)  # the reaper waits with the next move
            status = os.fstat(stream.fileno())
            if status.st_ino != self._inode:  # a new file
                self._inode, self._offset, self._rest = status.st_ino, 0, b""
                self._older = _identity(exits.older(self.path))
            start = 0
            with suppress(OSError):  # it is empty
                start = os.lseek(stream.fileno(), 0, os.SEEK_DATA)
            data = _bytes(exits.older(self.path)) if with_older else self._moved(start)
            begin = max(self._offset, start, status.st_size - last if last else 0)
            stream.seek(begin)
            data += stream.read()
            self._offset = stream.tell()
        return data.partition(b"\n")[2] if last and begin > start else data

    def _moved(self, start: int) -> bytes:
        """Return the bytes that were moved to the older part since the last read.

        `start` is where the data of the log starts now: 0 when the moved bytes were cut out.
        """
        identity = _identity(exits.older(self.path))
        if identity == self._older:
            return b""
        self._older = identity
        moved = _bytes(exits.older(self.path))
        if start == 0:
            data = moved[self._offset :]
            self._offset = max(0, self._offset - len(moved))
            return data
        return moved[max(0, self._offset - (start - len(moved))) :]


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return status.st_ino, status.st_mtime_ns


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def follow(logs: Sequence[Log], interval: float = 0.2) -> Iterator[list[Entry]]:
    """Yield the new entries of all logs, sorted by time, for ever."""
    while True:
        found = [entry for log in logs for entry in log.more()]
        if found:
            yield sorted(found, key=lambda entry: entry.at)
        time.sleep(interval)
