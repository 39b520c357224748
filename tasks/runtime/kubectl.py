"""kubectl: the program, and calls to it as the cluster's administrator."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.build.tasks import load_binary
from tasks.kubernetes.facts import Minor
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import readiness
from tasks.settings.load import Settings
from tasks.settings.paths import expanded
from tasks.system.run import Result, program, run


def client(settings: Settings) -> str | Path:
    """Return the kubectl to use: the user's, or the one that was built."""
    path = settings.start.kubectl
    if path:
        return program(str(expanded(path)))
    return load_binary(settings, "kubectl").path


def kubectl(
    settings: Settings, *arguments: str, stdin: str | None = None, check: bool = True
) -> Result:
    """Run kubectl as the cluster's administrator, for at most 60 s. Raises Failure like run()."""
    readiness.require("kube-apiserver")
    kubeconfig = f"--kubeconfig={settings.paths.kubeconfig('admin')}"
    cache = _home(settings) / "cache"
    words = (client(settings), kubeconfig, f"--cache-dir={cache}", *arguments)
    return run(*words, env=_environment(settings), stdin=stdin, check=check, timeout=60)


def cache(settings: Settings) -> dict[str, str]:
    """Return the variables that keep the cache of a kubectl of the user in the workspace.

    Since 1.25 it reads KUBECACHEDIR. An older one gets another HOME; a newer one keeps HOME, with
    the editor and plug-ins of the user.
    """
    home = _home(settings)
    old = not settings.start.kubectl and load_checkout(settings.paths.lock).minor < Minor(1, 25)
    return {"KUBECACHEDIR": str(home / "cache"), **({"HOME": str(home)} if old else {})}


def _environment(settings: Settings) -> dict[str, str]:
    """Return the environment of kubectl, which writes nothing into the user's home.

    Up to 1.19 it caches the server's API below HOME whatever --cache-dir says; since 1.33 it reads
    options from a file there. A program of the user can need the real HOME, for example a wrapper.
    """
    home = {} if settings.start.kubectl else {"HOME": str(_home(settings))}
    return {**os.environ, "KUBERC": "off", **home}


def _home(settings: Settings) -> Path:
    """Return kubectl's folder: what it caches of a server is wrong for one of another version."""
    version = load_checkout(settings.paths.lock).version
    return settings.paths.cache / "kubectl" / f"{settings.name}-{version}"
