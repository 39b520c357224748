"""Environment of the user's shell: kubeconfig, PATH with the cluster's programs, shell quoting."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from tasks.certs import credentials
from tasks.components import shared_flags
from tasks.core import console
from tasks.settings import templates
from tasks.settings.load import Settings

SHELLS = ("sh", "bash", "zsh", "fish")


def variables(settings: Settings) -> dict[str, str]:
    """Return the variables that kubectl and other clients of the cluster need, without PATH."""
    login = credentials.USER if settings.certs.auth_args else "admin"
    pings = shared_flags.NO_HTTP2_PING_ENV if settings.debug.pause_tolerant else {}
    return {"KUBECONFIG": str(settings.paths.kubeconfig(login)), **pings}


def programs(settings: Settings) -> Path:
    """Return the folder of the instance's programs: kubectl, dlv, etcdctl, the components."""
    folder = settings.paths.instance / "bin"
    if ":" in str(folder):
        console.warn(f"{folder} has a colon: it cannot be a folder of PATH; set STEPKUBE_HOME")
    return folder


def shell_lines(settings: Settings, shell: str) -> list[str]:
    """Return the lines that set the environment in a shell: sh, bash, zsh or fish."""
    folder, values = str(programs(settings)), variables(settings)
    if shell == "fish":
        lines = [f"set -gx {name} {templates.fish(value)}" for name, value in values.items()]
        return [*lines, f"set -gx PATH {templates.fish(folder)} $PATH"]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return [*lines, f'export PATH={shlex.quote(folder)}:"$PATH"']


def environment(settings: Settings, outer: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with the variables, and the programs first on PATH."""
    path = f"{programs(settings)}:{outer.get('PATH', os.defpath)}"
    return {**outer, **variables(settings), "PATH": path}


def default_shell(outer: Mapping[str, str]) -> str:
    """Return the shell of the user from SHELL; sh for one that is not known."""
    name = Path(outer.get("SHELL", "")).name
    return name if name in SHELLS else "sh"
