"""Optional credential files (token, AUTH_ARGS kubeconfig) and the owner of credentials."""

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

Content = Callable[[], str]
"""Returns the content of a file; empty if the file must not exist."""


def is_current(path: Path, content: Content) -> bool:
    """Return whether a file has this content, or does not exist if the content is empty."""
    return path.read_text() == content() if path.is_file() else not content()


@action
def write_private(path: Path, content: Content) -> None:
    """Write a file that only its owner can read, or remove it if the content is empty."""
    text = content()
    if text:
        files.write_if_changed(path, text, 0o600)
    else:
        path.unlink(missing_ok=True)


def owner_ids(settings: Settings) -> tuple[int, int] | None:
    """Return uid and gid of the new owner of the administrator's credentials; None for no change.

    Only root changes the owner.
    """
    if os.geteuid() or not settings.certs.owner:
        return None
    try:
        entry = pwd.getpwnam(settings.certs.owner)
    except KeyError:  # in a container, USER can name a user of the host
        return None
    return (entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def is_owned(settings: Settings) -> bool:
    """Return whether the administrator's credentials belong to the configured owner."""
    owner = owner_ids(settings)
    if owner is None:
        return True
    found = all(path.stat().st_uid == owner[0] for path in owned_files(settings))
    return found and all(mode & ~path.stat().st_mode == 0 for path, mode in _opened(settings))


@action
def change_owner(settings: Settings) -> None:
    """Change the owner of the administrator's credentials; the keys of the cluster stay root's."""
    owner = owner_ids(settings)
    if owner is None:
        return
    (settings.paths.instance / "bin").mkdir(parents=True, exist_ok=True)  # the build may come later
    for path, mode in _opened(settings):
        path.chmod(mode)
    for path in owned_files(settings):
        os.chown(path, *owner, follow_symlinks=False)


def _opened(settings: Settings) -> list[tuple[Path, int]]:
    """Return the existing paths, with modes, that the owner needs to use the cluster.

    Other users can search these folders, but not list them: they hold the credentials, the link to
    kubectl, and the authority that the kubeconfig names.
    """
    paths = settings.paths
    folders = (paths.instance, paths.instance / "bin", paths.certs)
    authority, _ = cert_files.pair(settings, "server-ca")
    modes = [*((folder, 0o711) for folder in folders), (authority, 0o644)]
    return [(path, mode) for path, mode in modes if path.exists()]


def owned_files(settings: Settings) -> list[Path]:
    """Return the existing files of the administrator's and the user's credentials."""
    paths = settings.paths
    candidates = [
        *cert_files.pair(settings, "client-admin"),
        paths.kubeconfig("admin"),
        paths.kubeconfig(credentials.USER),
    ]
    return [path for path in candidates if path.is_file()]


def tasks(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the tasks that write these files and change their owner."""
    for name, doc, path, content in (
        (
            "tokens",
            "token file of kube-apiserver, with the administrator's token",
            cert_files.token_file(settings),
            partial(credentials.token_file_content, settings),
        ),
        (
            f"kubeconfig-{credentials.USER}",
            "kubeconfig with the credentials in AUTH_ARGS",
            settings.paths.kubeconfig(credentials.USER),
            partial(credentials.user_kubeconfig, settings),
        ),
    ):
        yield {
            "name": name,
            "doc": doc,
            "uptodate": [Check(f"{path} is current", is_current, (path, content))],
            "actions": [(write_private, (path, content))],
        }
    yield {
        "name": "owner",
        "doc": "change the owner of the administrator's credentials to certs.owner (USER)",
        "task_dep": [
            "certs:client-admin",
            "certs:kubeconfig-admin",
            f"certs:kubeconfig-{credentials.USER}",
        ],
        "uptodate": [Check("the credentials belong to certs.owner", is_owned, (settings,))],
        "actions": [(change_owner, (settings,))],
    }
