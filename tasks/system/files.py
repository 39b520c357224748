"""Files and folders written whole or not at all, and advisory locks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.core.errors import Failure

UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
"""Errors of a disk that is full or read-only, and of a folder of another user."""
UNWRITABLE_HINT = "free disk space, or set STEPKUBE_HOME to a folder that you can write to"


def write(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write a file under a temporary name and rename it into place, with exactly `mode`."""
    data = content.encode() if isinstance(content, str) else content
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", UNWRITABLE_HINT) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def write_if_changed(path: Path, content: str | bytes, mode: int = 0o600) -> bool:
    """Write a file if its content differs; return whether it did. Otherwise its mtime stays."""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    write(path, data, mode)
    return True


def write_json(path: Path, value: Any, mode: int = 0o600) -> bool:
    """Write a value as sorted, indented JSON if the file differs; return whether it did."""
    return write_if_changed(path, json.dumps(value, indent=1, sort_keys=True) + "\n", mode)


def read_json(path: Path) -> Any:
    """Return the parsed file, None when it does not exist. Raises Failure for a damaged file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Failure(
            f"{path} is damaged: {error}",
            f"remove it and run the task again: rm {shlex.quote(str(path))}",
        ) from error


def remove(path: Path) -> None:
    """Remove a file that says nothing of use any more; a read-only disk keeps it, with a warning.

    A record of a process that was stopped is such a file.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        from tasks.core import console  # noqa: PLC0415 - it loads doit, which few callers need

        console.warn(f"cannot remove {path}: {error.strerror}")


def digest(*parts: str | bytes) -> str:
    """Return the sha256 of parts; the length before each part keeps two lists from colliding."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(f"{len(data)}:".encode())
        state.update(data)
    return state.hexdigest()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def link(path: Path, target: Path) -> None:
    """Make a symbolic link that leads to `target`; an old one is replaced in one step."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)


@contextmanager
def shared() -> Iterator[None]:
    """Let other users read, but not write, the files and folders that the block creates."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give an empty folder for the block; it is removed at the end, unless it was renamed.

    Other users can read what the block creates: source and tools are not private.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of a killed run
    with shared():
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give an empty folder beside `target` for the block, and rename it to `target` at its end.

    After an error in the block neither is there; a `target` with files in it is an OSError.
    """
    with scratch(target.with_name(f".{target.name}.making")) as making:
        yield making
        making.rename(target)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive advisory lock on `path` (created when missing) for the block.

    If it has to wait, it prints a line on stderr: a program may read stdout. If the disk is full or
    read-only and `path` does not exist, it locks the nearest folder: a cluster must be stoppable.
    Other users can read a folder that is created for the lock: only an instance is private.
    """
    with _lock_file(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            from tasks.core import console  # noqa: PLC0415 - it loads doit, which few callers need

            console.say(f"  waiting for another run that holds {path}", stream=sys.stderr)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    try:
        with shared():
            path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        existing = next(place for place in (path, *path.parents) if place.exists())
        descriptor = os.open(existing, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
