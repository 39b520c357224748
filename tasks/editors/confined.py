"""Read, write and remove files in a folder; only the user's links lead out of it.

Root can write into the tree of another user, who can exchange a folder for a link at any time. So
each folder is opened from its parent, and a link is an error.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.core.errors import Failure

_MOST_LINKS = 40
"""The kernel follows as many, see path_resolution(7)."""


def require(path: Path, base: Path) -> Path:
    """Return a path in `base` with its links followed.

    A link may lead out of `base` if the user who runs doit owns `base`, the link and its target, as
    the links of a dotfile manager. Raises Failure for other links.
    """
    start = base.resolve()
    real, links = follow(path, base)
    if real.is_relative_to(start) or _belong_to_user([start, _existing(real)], links):
        return real
    link = next(iter(links), path)
    raise Failure(
        f"{link} is a link that leads out of {base}: {path} is {real}, and nothing was written",
        "remove this link, use --editor to leave out the editor, or run doit as the user that owns"
        " the checkout, the link and its target",
    )


def follow(path: Path, base: Path) -> tuple[Path, list[Path]]:
    """Return the real path of a path in `base`, and the links that lead from `base` to it."""
    links: list[Path] = []
    place, parts = base.resolve(), [*reversed(path.relative_to(base).parts)]
    while parts:
        part = parts.pop()
        place = place.parent if part == ".." else place / part
        if place.is_symlink():
            links.append(place)
            if len(links) > _MOST_LINKS:
                raise Failure(f"{links[0]} is a link that leads to itself", "remove this link")
            parts += reversed(place.readlink().parts)
            place = place.parent
    return place, links


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _belong_to_user(places: Iterable[Path], links: Iterable[Path]) -> bool:
    """Return whether the user who runs doit owns the places; root may own the links too."""
    user = os.geteuid()
    owners = {place.lstat().st_uid for place in links}
    return owners <= {user, 0} and all(place.stat().st_uid == user for place in places)


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
    if not real.is_relative_to(start):  # a link of the user
        start = Path("/")
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
