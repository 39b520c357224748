"""Files to log in with that are there only where the user asks for them, and whose they are."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tasks.certs import credentials
from tasks.cli.task import Check, action
from tasks.settings import cert_files
from tasks.settings.load import Settings
from tasks.system import files

Text = Callable[[], str]
"""Makes the content of a file when it is needed."""


def is_current(path: Path, text: Text) -> bool:
    """Tell whether a file has this content; without content there is to be no file."""
    return path.read_text() == text() if path.is_file() else not text()


@action
def write_private(path: Path, text: Text) -> None:
    """Write a file that only its owner can read, or remove it when there is nothing to write."""
    wanted = text()
    if wanted:
        files.write_if_changed(path, wanted, 0o600)
    else:
        path.unlink(missing_ok=True)


def owner_ids(settings: Settings) -> tuple[int, int] | None:
    """Return user and group that get the administrator's credentials from root, if any."""
    if os.geteuid() or not settings.certs.owner:
        return None
    try:
        entry = pwd.getpwnam(settings.certs.owner)
    except KeyError:  # a variable of a container, where that user is not known
        return None
    return (entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def is_owned(settings: Settings) -> bool:
    """Tell whether the credentials belong to whom they shall."""
    to = owner_ids(settings)
    return to is None or all(path.stat().st_uid == to[0] for path in owned_files(settings))


@action
def change_owner(settings: Settings) -> None:
    """Give the administrator's credentials to the user; the keys of the cluster stay root's."""
    to = owner_ids(settings)
    if to is None:
        return
    settings.paths.certs.chmod(0o711)  # may be entered, not listed
    for path in owned_files(settings):
        os.chown(path, *to, follow_symlinks=False)


def owned_files(settings: Settings) -> list[Path]:
    """Return the files that the user needs to be administrator."""
    paths = settings.paths
    named = [
        *cert_files.pair(settings, "client-admin"),
        paths.kubeconfig("admin"),
        paths.kubeconfig(credentials.USER),
    ]
    return [path for path in named if path.is_file()]


def tasks(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the tasks that keep these files."""
    for name, doc, path, text in (
        (
            "tokens",
            "token that kube-apiserver knows the administrator by",
            cert_files.token_file(settings),
            partial(credentials.tokens, settings),
        ),
        (
            f"kubeconfig-{credentials.USER}",
            "kubeconfig of the user's own credentials",
            settings.paths.kubeconfig(credentials.USER),
            partial(credentials.user_kubeconfig, settings),
        ),
    ):
        yield {
            "name": name,
            "doc": doc,
            "uptodate": [Check(f"{path} is as wanted", is_current, (path, text))],
            "actions": [(write_private, (path, text))],
        }
    yield {
        "name": "owner",
        "doc": "give the administrator's credentials to the user who asked root for them",
        "task_dep": [
            "certs:client-admin",
            "certs:kubeconfig-admin",
            f"certs:kubeconfig-{credentials.USER}",
        ],
        "uptodate": [Check("they belong to that user", is_owned, (settings,))],
        "actions": [(change_owner, (settings,))],
    }
