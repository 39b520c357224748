"""Folders of the workspace and their modes: instances are private, no other user can write.

A workspace of an older version, or of a run with another umask, is tightened. Nothing is loosened.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from tasks.settings.paths import Paths
from tasks.system import damage, files

UMASK = 0o077
_WRITABLE = 0o022
_OTHERS = 0o077
_SEARCHABLE = 0o011
_OF_PODS = {"containerd", "kubelet", "pods"}
"""Folders below an instance with files of pods, which run as any user: the modes are theirs."""
_FOLDERS = (
    *("run", "swap", "certs", "config", "logs", "etcd", "build", "toolchain", "addons"),
    *("containerd", "kubelet", "bin"),
)


def prepare(paths: Paths) -> None:
    """Create the workspace and the instance, and take rights that other users should not have.

    Sets the umask of this process: the files it creates are private, with any umask of the shell.
    """
    os.umask(UMASK)
    instances = paths.home / "instances"
    below = (paths.instance / name for name in _FOLDERS)
    for folder in (instances, paths.instance, *below):
        if os.path.lexists(folder) and not folder.is_dir():
            damage.set_aside(folder, "it is not a folder")
    files.make_shared(instances)
    paths.run.mkdir(parents=True, exist_ok=True)  # before files.locked, which would let others read
    for folder in (paths.home, instances):
        _remove(folder, _WRITABLE)
    for folder in _folders(instances):
        _tighten_instance(folder)
    shared = (paths.toolchain, paths.source, paths.binaries, paths.cache)
    for folder in filter(Path.is_dir, shared):
        for path in [*_folders(folder), folder]:  # the folder is last: it shows that all is done
            if _mode(path) & _WRITABLE:
                _remove_below(path, _WRITABLE)


def _tighten_instance(instance: Path) -> None:
    """Make an instance private; a user that got the credentials can still open them by name."""
    opened = (instance, instance / "certs", instance / "bin")
    handed_over = any(_mode(path) & _OTHERS == _SEARCHABLE for path in opened[:2])
    _remove(instance, _OTHERS & ~_SEARCHABLE if handed_over else _OTHERS)
    with os.scandir(instance) as entries:
        names = [entry.name for entry in entries if not entry.is_symlink()]
    for path in (instance / name for name in names if name not in _OF_PODS):
        if handed_over and path in opened:
            _remove(path, _OTHERS & ~_SEARCHABLE)
        elif _mode(path) & _OTHERS:
            _remove_below(path, _OTHERS)


def instance_names(home: Path) -> list[str]:
    """Return the names of the instances in a workspace."""
    folder = home / "instances"
    if not folder.is_dir():
        return []
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _remove_below(top: Path, bits: int) -> None:
    """Remove bits from the modes of a file, or of a folder after everything in it."""
    walk = os.fwalk(top, topdown=False) if top.is_dir() else ()  # it would wait for a pipe
    for name, _, names, folder in walk:
        if _OF_PODS.isdisjoint(Path(name).relative_to(top).parts):
            for file in (*names, "."):
                _remove(file, bits, folder)
    _remove(top, bits)


def _remove(path: str | Path, bits: int, folder: int | None = None) -> None:
    """Remove bits from the mode of a file or folder; `folder` is the descriptor of its folder.

    Another user who could write in the folder may have put a link there: links are not followed,
    and a file with several names keeps its mode. So does a folder such as /tmp, which is for all.
    """
    with suppress(OSError):  # it does not exist any more, or it belongs to another user
        if stat.S_IFMT(os.lstat(path, dir_fd=folder).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            return
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            status = os.fstat(handle)
            kept = status.st_mode & stat.S_ISVTX or (
                stat.S_ISREG(status.st_mode) and status.st_nlink > 1
            )
            if status.st_mode & bits and not kept:
                os.fchmod(handle, stat.S_IMODE(status.st_mode) & ~bits)
        finally:
            os.close(handle)


def _mode(path: Path) -> int:
    """Return the mode of a path; 0 if it does not exist or is a link."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return 0 if stat.S_ISLNK(status.st_mode) else status.st_mode
