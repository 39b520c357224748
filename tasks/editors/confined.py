"""Read, write and remove files in a folder; no link leads out of it, whoever changes it meanwhile.

Root can write into the tree of a user, who can exchange a folder for a link at any time. So each
folder is opened from its parent, and a link is an error.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.core.errors import Failure


def require(path: Path, base: Path) -> Path:
    """Return a path with its links followed. Raises Failure if it does not lie in `base`."""
    real = path.resolve()
    if real.is_relative_to(base.resolve()):
        return real
    link = next((place for place in (path, *path.parents) if place.is_symlink()), path)
    raise Failure(
        f"{link} is a link that leads out of {base}: {path} is {real}, and nothing was written",
        "remove this link, or use --editor to leave out the editor",
    )


def read(path: Path, base: Path) -> bytes:
    """Return the content of a file; empty if it does not exist."""
    try:
        with _parent(require(path, base), base) as (folder, name):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as stream:
                return stream.read()
    except FileNotFoundError:
        return b""


def write(path: Path, data: bytes, base: Path, owner: tuple[int, int]) -> bool:
    """Write a file if its content differs; return whether it did.

    An existing file keeps its mode and owner; a new file or folder gets `owner` (uid and gid).
    """
    real = require(path, base)
    if real.is_file() and read(path, base) == data:
        return False
    with _parent(real, base, owner) as (folder, name):
        mode = 0o644
        with suppress(FileNotFoundError):
            before = os.stat(name, dir_fd=folder, follow_symlinks=False)
            mode, owner = stat.S_IMODE(before.st_mode), (before.st_uid, before.st_gid)
        temporary = f".{name}.{secrets.token_hex(4)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                with suppress(PermissionError):
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(temporary, dir_fd=folder)
            raise
    return True


def remove(path: Path, base: Path) -> None:
    """Remove a file, or a folder that is empty; a link itself is removed."""
    real = require(path.parent, base) / path.name
    with suppress(FileNotFoundError), _parent(real, base) as (folder, name):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            with suppress(OSError):  # it is not empty
                os.rmdir(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)


@contextmanager
def _parent(
    real: Path, base: Path, owner: tuple[int, int] | None = None
) -> Iterator[tuple[int, str]]:
    """Give the descriptor of a path's folder and the path's name; with `owner`, make folders."""
    start = base.resolve()
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(start, flags)
    try:
        *folders, name = real.relative_to(start).parts
        for folder in folders:
            made = False
            if owner is not None:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o755, dir_fd=descriptor)
                    made = True
            inner = os.open(folder, flags, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
            if made and owner is not None:
                os.fchmod(descriptor, 0o755)  # the umask may be narrower
                with suppress(PermissionError):
                    os.fchown(descriptor, *owner)
        yield descriptor, name
    finally:
        os.close(descriptor)
