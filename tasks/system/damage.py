"""Damaged files of the workspace: read without a surprise, and set aside under another name."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

SUFFIX = ".damaged"
LIMIT = 64 << 20
"""Bytes that no state file has: the largest (a list of source digests) has about 1 MB."""


class DamagedError(Exception):
    """A file is not a regular file, is too large, or has the wrong content; the text says which."""


def read_text(path: Path, limit: int = LIMIT) -> str:
    """Return the text of a regular file; see `read_bytes`."""
    try:
        return read_bytes(path, limit).decode()
    except UnicodeDecodeError as error:
        raise DamagedError(f"it is not UTF-8 at byte {error.start}") from error


def read_bytes(path: Path, limit: int = LIMIT) -> bytes:
    """Return the content of a regular file: never wait for a pipe, never read a device.

    Raises DamagedError, FileNotFoundError, or another OSError if this user cannot read the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:  # a socket, or a link to itself
        raise DamagedError(f"it cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DamagedError("it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise DamagedError(f"it is larger than {limit >> 10} KiB")
    return data


def set_aside(path: Path, problem: object, effect: str = "") -> None:
    """Rename a damaged file or folder to NAME.damaged, and print one line that says so.

    `effect` says what else happens. If the folder cannot be written, the file stays.
    """
    from tasks.core import console  # noqa: PLC0415 - few callers need it

    names = (f"{path.name}{SUFFIX}{number or ''}" for number in itertools.count())
    target = next(name for name in map(path.with_name, names) if not os.path.lexists(name))
    try:
        path.rename(target)
        outcome = f"it is now {target.name}"
    except OSError as error:
        outcome = f"it cannot be renamed ({error.strerror})"
    console.warn(f"{path} was damaged ({problem}): {outcome}{effect and f'; {effect}'}")
