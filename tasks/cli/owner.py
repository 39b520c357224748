"""Owner of the workspace: another user is refused before a file or process gets two owners."""

from __future__ import annotations

import atexit
import os
import stat
from contextlib import suppress
from pathlib import Path

from tasks.core.errors import Failure

FOR_ROOT = frozenset(
    {"check", "clean", "config", "down", "explain", "firewall", "forget", "mirror", "packages"}
    | {"instances", "logs", "status", "stop", "undebug", "versions"}
)
"""First words of a command line that root may use in a user's workspace: they start nothing."""


def require_owner(instance: Path, words: set[str]) -> None:
    """Raise Failure if the workspace belongs to another user, who could not use it afterwards.

    `words` are the commands or the tasks, without the part after the colon. The owner is that of
    the folder that stepkube makes itself: the workspace can be a mount of another user.
    """
    folder, home = instance.parent, instance.parent.parent
    try:
        status = folder.stat()
    except OSError:
        return  # the first run makes it
    owner = status.st_uid
    if owner == os.geteuid():
        return
    if os.geteuid():
        if os.access(folder, os.W_OK):
            return
        raise Failure(
            f"the workspace {home} belongs to {_user(owner)}",
            f"run doit as {_user(owner)}, or set STEPKUBE_HOME to a workspace of yours",
        )
    if not words or words - FOR_ROOT:
        raise Failure(
            f"the workspace {home} belongs to {_user(owner)}, who could not use or stop what root"
            " starts in it",
            f"run doit as {_user(owner)}; or, to start a node, give root its own workspace:"
            " STEPKUBE_HOME=/root/stepkube",
        )
    atexit.register(give_files, instance, status.st_uid, status.st_gid)


def give_files(instance: Path, uid: int, gid: int) -> None:
    """Give to the owner what root has made in an instance: locks, caches, doit's database.

    They lie in the instance's folder and in run/. Links are not followed: the owner can make them.
    """
    for folder in (instance, instance / "run"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                os.fchown(descriptor, uid, gid)
                for name in os.listdir(descriptor):  # noqa: PTH208 - not by its path
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    made = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
                    if status.st_uid == 0 and made:
                        os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
            finally:
                os.close(descriptor)


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - few callers need it

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
