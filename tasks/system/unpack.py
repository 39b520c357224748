"""Unpack source archives into one folder; no member can be written outside of it.

Debian 12's Python has no extraction filters, so tarfile's extraction is not used. Files are written
first and links last, so that no file can be written through a link.
"""

from __future__ import annotations

import math
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.system import files, resources
from tasks.system.run import run

LIMIT = 8 << 30
"""The maximum size of an unpacked archive in bytes (a Kubernetes tree has 0.3 GiB)."""
DAMAGED = (
    *(tarfile.TarError, EOFError, zlib.error, LZMAError),
    *(KeyError, ValueError, OverflowError, RecursionError, MemoryError),
)
"""Errors of tarfile for an archive that is damaged, or that has names or numbers out of range."""


def extract(archive: Path, folder: Path, strip: int | None = None) -> float:
    """Unpack an archive into a folder; return the mtime of its newest file, in epoch seconds.

    `strip` is the number of leading folders to remove from each name; None removes the single top
    folder that all names share, if there is one. Raises Failure for an archive that is damaged, is
    not a tar archive, or has members that would be written outside of the folder.
    """
    console.progress(f"unpacking {archive.name}")
    try:
        with _opened(archive, folder) as tar:
            members = list(_checked(tar, archive.name))
            top = len(_shared_top(members)) if strip is None else strip
            placed = [(_parts(member)[top:], member) for member in members]
            _write(tar, placed, folder, archive.name)
    except DAMAGED as error:
        raise Failure(
            f"{archive.name} is damaged or not a tar archive: {error}", "get the archive again"
        ) from error
    except OSError as error:
        raise refused(archive, error) from error
    times = (float(member.mtime) for member in members if member.isfile())
    return max(filter(math.isfinite, times), default=0.0)


def refused(archive: Path, error: OSError) -> Exception:
    """Return a Failure for a name that no file can have, or for damaged bzip2 data.

    An error of the disk is returned as it is.
    """
    if error.errno in files.UNWRITABLE:
        return error
    reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return Failure(f"{archive.name} cannot be unpacked: {reason}", "get the archive again")


@contextmanager
def _opened(archive: Path, folder: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive; zstd archives, which Python cannot read, are decompressed by zstd(1)."""
    with archive.open("rb") as stream:
        zstd = stream.read(4) == b"\x28\xb5\x2f\xfd"
    if not zstd:
        with tarfile.open(archive) as tar:
            yield tar
        return
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder.with_name(f".{folder.name}.tar")
    try:
        run("zstd", "--decompress", "--quiet", "--force", archive, "-o", plain)
        with tarfile.open(plain) as tar:
            yield tar
    finally:
        plain.unlink(missing_ok=True)


def _checked(tar: tarfile.TarFile, name: str) -> Iterator[tarfile.TarInfo]:
    """Yield the files, folders and links. Raises Failure for any other kind of member.

    A .git folder is left out: its configuration may name programs that git runs.
    """
    total, sizes = 0, dict[str, int]()
    for member in tar:
        if member.name.startswith("/") or ".." in member.name.split("/"):
            raise Failure(f"{name}: {member.name!r} would leave the folder")
        if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
            raise Failure(f"{name}: {member.name!r} is not a file, a folder or a link")
        if member.size < 0:
            raise Failure(f"{name}: {member.name!r} has the size {member.size}")
        sizes[member.name] = sizes.get(member.linkname, 0) if member.islnk() else member.size
        total += sizes[member.name]
        if total > LIMIT:
            raise Failure(f"{name}: its content is larger than {LIMIT >> 30} GiB")
        if ".git" not in _parts(member):
            yield member


def _parts(member: tarfile.TarInfo) -> list[str]:
    return [part for part in member.name.split("/") if part not in ("", ".")]


def _shared_top(members: list[tarfile.TarInfo]) -> list[str]:
    """Return the single folder that contains all members, or an empty list."""
    tops = {tuple(_parts(member)[:1]) for member in members} - {()}
    loose = any(len(_parts(member)) == 1 and not member.isdir() for member in members)
    return list(tops.pop()) if len(tops) == 1 and not loose else []


def _write(
    tar: tarfile.TarFile, members: list[tuple[list[str], tarfile.TarInfo]], folder: Path, name: str
) -> None:
    size = sum(member.size for _, member in members) / resources.GIB
    resources.require_disk(folder, round(size + 0.1, 2), f"unpacking {name}")
    folder.mkdir(parents=True, exist_ok=True)
    links: dict[Path, str] = {}
    for parts, member in members:
        path = folder.joinpath(*parts)
        if not parts:
            continue
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.issym():
            links[path] = member.linkname
        else:
            _write_file(tar, member, path)
    for link, target in links.items():
        _require_inside(link.parent, folder, f"{name}: {link.relative_to(folder)}")
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.exists() or link.is_symlink():
            raise Failure(f"{name}: the archive contains {link.relative_to(folder)} twice")
        link.symlink_to(target)
    for link, target in links.items():
        _require_inside(link, folder, f"{name}: the link {link.relative_to(folder)} to {target}")


def _require_inside(path: Path, folder: Path, what: str) -> None:
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise Failure(f"{what} would leave the folder")


def _write_file(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write one file; a hard link becomes a separate file with the content of its target."""
    source = tar.extractfile(member)
    if source is None:
        raise tarfile.ReadError(f"{member.name} has no content")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as out:
        shutil.copyfileobj(source, out)
    target.chmod(0o755 if member.mode & 0o111 else 0o644)
