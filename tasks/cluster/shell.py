"""Tasks kubectl and env: use the cluster with its own kubectl, or from the user's shell."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.cli.task import ANSWER, OUTPUT, action, option
from tasks.core import console
from tasks.kubernetes import tool_record
from tasks.runtime import kubectl, user_environment
from tasks.settings.load import Settings
from tasks.system.run import announce


def become_kubectl(settings: Settings, folder: Path, arguments: Sequence[str]) -> None:
    """Replace this process with kubectl: it has the terminal, and its exit code is doit's.

    Relative paths in `arguments` start at `folder`. Raises Failure when there is no kubectl.
    """
    program = str(Path(kubectl.client(settings)).absolute())
    argv = [program, *arguments]
    env = user_environment.environment(settings, {**os.environ, **kubectl.cache(settings)})
    announce(argv)
    os.chdir(folder)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; exec would keep that
        signal.signal(number, signal.SIG_DFL)
    os.execve(program, argv, env)  # noqa: S606


@action
def print_environment(settings: Settings, shell: str, output: str) -> None:
    """Print the lines that set the environment in a shell, or the variables as JSON."""
    tool_record.link_programs(settings, "etcd", "delve")
    values = user_environment.variables(settings)
    if not Path(values["KUBECONFIG"]).is_file():
        console.warn(f"{values['KUBECONFIG']} does not exist yet; run: doit up")
    if output == "json":
        folder = user_environment.programs(settings)
        console.say(json.dumps({"variables": values, "path": str(folder)}, indent=1))
        return
    chosen = user_environment.default_shell(os.environ) if shell == "auto" else shell
    for line in user_environment.shell_lines(settings, chosen):
        console.say(line)


def task_kubectl(settings: Settings) -> dict[str, Any]:
    """Return the task that runs kubectl; with arguments, entry.pass_on runs it before doit."""
    return {
        "doc": "run kubectl on the cluster: all arguments after the name are passed on",
        "actions": [(action(become_kubectl), [settings, Path.cwd(), ()])],
        "uptodate": [False],
        "meta": ANSWER,
    }


def task_env(settings: Settings) -> dict[str, Any]:
    """Return the task that prints the environment for a shell."""
    shells = [(name, f"lines for {name}") for name in user_environment.SHELLS]
    return {
        "doc": 'print KUBECONFIG and PATH for a shell: eval "$(doit env)"; fish: doit env | source',
        "actions": [(print_environment, [settings])],
        "uptodate": [False],
        "params": [
            option("shell", "shell", "auto", choices=[("auto", "the one in SHELL"), *shells]),
            OUTPUT,
        ],
        "meta": ANSWER,
    }
