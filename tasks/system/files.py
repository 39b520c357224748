"""Files and folders written whole or not at all, and advisory locks."""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.core.errors import Failure
from tasks.system import damage, lock_wait

UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
"""Errors of a disk that is full or read-only, and of a folder of another user."""
_NO_FOLDER = (FileExistsError, NotADirectoryError)
UNWRITABLE_HINT = "free disk space, or set STEPKUBE_HOME to a folder that you can write to"


def unwritable_hint(error: OSError, folder: object) -> str:
    """Return the fix for an error of writing to a folder."""
    in_the_way = f"remove the file in the place of the folder {folder}, or set STEPKUBE_HOME"
    return in_the_way if isinstance(error, _NO_FOLDER) else UNWRITABLE_HINT


def write(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write a file under a temporary name and rename it into place, with exactly `mode`.

    A folder in its place is set aside.
    """
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
        if path.is_dir() and not path.is_symlink():
            damage.set_aside(path, "it is a folder")
        Path(temporary).replace(path)
    except OSError as error:
        hint = unwritable_hint(error, path.parent)
        raise Failure(f"cannot write {path}: {error.strerror}", hint) from error
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


def remove(path: Path) -> None:
    """Remove a file that is out of date, such as the record of a stopped process.

    If the disk is read-only, the file stays and a warning is printed. A folder in its place is set
    aside.
    """
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        damage.set_aside(path, "it is a folder")
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        if not os.path.lexists(path):  # a read-only disk is noticed before a missing file
            return
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


def size(path: Path) -> int:
    """Return the size of a file in bytes, 0 when it does not exist."""
    return path.stat().st_size if path.exists() else 0


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def link(path: Path, target: Path) -> None:
    """Make a symbolic link that leads to `target`; an old one is replaced in one step."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        damage.set_aside(path, "it is a folder")
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


def make_shared(folder: Path) -> None:
    """Create a folder, and the missing ones above it, that other users can read but not write."""
    with shared():
        folder.mkdir(parents=True, exist_ok=True)


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
def locked(path: Path, before_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold an exclusive advisory lock on `path` (created when missing) for the block.

    If another run has the lock, it calls `before_wait`, which can release locks for which the other
    run may be waiting. While it waits, it prints on stderr which run has the lock: a program may
    read stdout. If the disk is full or read-only and `path` does not exist, it locks the nearest
    folder until this run exits: a cluster must be stoppable. Other users can read a folder that is
    created for the lock: only an instance is private.
    """
    descriptor = open_lock(path)
    try:
        lock(descriptor, path, before_wait=before_wait)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether another run has the lock on `path`."""
    try:
        descriptor = os.open(_nearest(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def open_lock(path: Path) -> int:
    """Open a lock file, created when missing, and return its descriptor; see `locked`."""
    try:
        make_shared(path.parent)
        if path.is_dir():  # it can be locked too
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if os.path.lexists(path) and not path.is_file():
            damage.set_aside(path, "it is not a regular file")
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        found = _nearest(path)
        if found == path:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.dup(_open_once(found))


def _nearest(path: Path) -> Path:
    """Return a path, or its nearest folder that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


@functools.cache
def _open_once(folder: Path) -> int:
    """Open a folder once: locks of this run that share it must not wait for each other."""
    return os.open(folder, os.O_RDONLY | os.O_CLOEXEC)


def lock(
    descriptor: int,
    path: Path,
    *,
    shared: bool = False,
    before_wait: Callable[[], object] = lambda: None,
) -> None:
    """Lock an open lock file; see `locked`. Several runs can have a shared lock."""
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        before_wait()
        with lock_wait.announced(descriptor, path):
            fcntl.flock(descriptor, operation)
