"""Cache of values that were derived from files, such as compiled code and parsed YAML.

It is one private file in the workspace. A value counts only while its input files have the same
inode, size and time stamps. A damaged, foreign or unwritable cache file changes nothing but the
time. This module imports nothing of tasks/: tasks/cli/imports.py uses it to load the other modules.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib.util
import marshal
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
_LIMIT = 2000
"""Values that are kept: the last ones that were used; a run uses 800."""
_SETTLED = 2 * 10**9
"""Nanoseconds after which another write to a file gives it another time stamp."""

Identity = tuple[tuple[str, tuple[int, ...]], ...]
"""Path of each input file, with its time stamps, size, inode and device."""


class Cache:
    """Values by key, each with the identity of the files it was derived from."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the cache file; without a path, values are kept only in memory."""
        self._path = path
        self._entries: dict[str, tuple[Identity, bytes]] = {}
        self._changed = False
        if path is not None:
            # ValueError, EOFError and TypeError: of a file whose writer died
            with suppress(OSError, ValueError, EOFError, TypeError):
                self._entries = _read(path)

    def value(self, key: str, inputs: Iterable[str | Path], derive: Callable[[], Any]) -> Any:
        """Return the value that `derive` returns for the present content of the input files.

        It must be of types that `marshal` knows. An exception of `derive` is not cached. Raises
        OSError if an input does not exist.
        """
        identity = _identity(inputs)  # before the files are read
        known = self._entries.pop(key, None)
        if known is not None and known[0] == identity:
            self._entries[key] = known  # now the last one that was used
            return marshal.loads(known[1])  # noqa: S302 - a file that only this user can write
        value = derive()
        if time.time_ns() - max((max(n[:2]) for _, n in identity), default=0) > _SETTLED:
            self._entries[key] = identity, marshal.dumps(value)
            self._changed = True
        return value

    def discard(self) -> None:
        """Keep the values only in memory from now on."""
        self._path = None

    def save(self) -> None:
        """Write the file if a value is new, unless another user owns the workspace."""
        if self._path is None or not self._changed:
            return
        folder = self._path.parent
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _only_ours(folder.stat()):
                return
            kept = [item for item in self._entries.items() if _exist(item[1][0])][-_LIMIT:]
            data = marshal.dumps(dict(kept))
            handle, temporary = tempfile.mkstemp(dir=folder)  # its mode is 0600
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(hashlib.sha256(data).digest() + data)
                Path(temporary).replace(self._path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)


def install(home: Path) -> None:
    """Use the cache file of a workspace until this process exits, and save it then."""
    global _cache  # noqa: PLW0603 - one per process
    build = (str(ROOT), sys.version, str(sys.flags.optimize))
    name = hashlib.sha256("\0".join(build).encode()).hexdigest()[:16]
    _cache = Cache(home / "cache" / "derived" / name)
    atexit.register(_cache.save)


def value(key: str, inputs: Iterable[str | Path], derive: Callable[[], Any]) -> Any:
    """Return a derived value from the cache of this process; see Cache.value."""
    return _cache.value(key, inputs, derive)


def discard() -> None:
    """Do not save the cache file of this process: its workspace was deleted."""
    _cache.discard()


@functools.cache
def origin(library: str) -> tuple[Path, ...]:
    """Return a file of an installed library that another release of it replaces."""
    spec = importlib.util.find_spec(library)  # does not load the library
    return (Path(spec.origin),) if spec and spec.origin else ()


def _read(path: Path) -> dict[str, tuple[Identity, bytes]]:
    """Return the entries of a cache file; none if it is damaged or another user can write it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read() if _only_ours(os.fstat(descriptor)) else b""
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return {}
    entries: dict[str, tuple[Identity, bytes]] = marshal.loads(data[32:])  # noqa: S302 - ours
    return entries


def _identity(inputs: Iterable[str | Path]) -> Identity:
    found = []
    for path in inputs:
        s = Path(path).stat()
        numbers = (s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino, s.st_dev)
        found.append((os.fspath(path), numbers))
    return tuple(found)


def _exist(identity: Identity) -> bool:
    return all(Path(path).exists() for path, _ in identity)


def _only_ours(status: os.stat_result) -> bool:
    """Return whether no other user can write a file or folder."""
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o022


_cache = Cache()
