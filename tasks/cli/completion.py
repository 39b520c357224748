"""Task completion: the script that completes `doit` in a shell, and the answers to this script.

The script passes the line up to the cursor in COMP_LINE, as bash does for `complete -C`: other
users cannot read it there. A request works with wrong settings and writes nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from doit.doit_cmd import DoitMain

from tasks.cli import candidates, help_command, help_text, task_names
from tasks.cli.candidates import Choices
from tasks.cli.task import ANSWER, action
from tasks.cli.task_names import Pipeline
from tasks.core import console, derived
from tasks.core.errors import Failure
from tasks.settings import templates
from tasks.settings.load import ROOT, Settings
from tasks.settings.table import table
from tasks.system import workspace

SHELLS = ("bash", "zsh", "fish")
COMMANDS = frozenset({"clean", "forget", "help", "info", "list", "run"})
"""The commands of doit that are completed."""
_CANDIDATES = "--candidates"


def requested(argv: Sequence[str]) -> list[str] | None:
    """Return the arguments of the task completion; None if argv does not call it."""
    words = [word for word in argv if "=" not in word or word.startswith("-")]
    return words[1:] if words[:1] == ["completion"] else None


def answer(settings: Settings, pipeline: Pipeline) -> None:
    """Print the candidates or the script and exit; return if argv requests neither.

    Exits with 3 for a wrong command line, as doit does.
    """
    arguments = requested(sys.argv[1:])
    if arguments is None:
        return
    derived.discard()
    if arguments == [_CANDIDATES]:
        found = candidates.candidates(os.environ.get("COMP_LINE", ""), _choices(settings, pipeline))
        lines = (f"{word}\t{' '.join(text.split())}" for word, text in found.items())
        if found:
            console.say("\n".join(lines))
        sys.exit(0)
    try:
        console.say(script(arguments))
    except Failure as failure:
        console.say(f"error: {failure}", stream=sys.stderr)
        sys.exit(3)
    sys.exit(0)


def script(shells: Sequence[str]) -> str:
    """Return the completion script of a shell. Raises Failure unless one known shell is named."""
    if len(shells) != 1 or shells[0] not in SHELLS:
        raise Failure(
            f"completion: {' '.join(shells) or 'no shell'} is not one of {', '.join(SHELLS)}",
            "run: doit completion bash",
        )
    quote = templates.fish if shells[0] == "fish" else templates.shell
    assign = "set -g {} {}" if shells[0] == "fish" else "{}={}"
    values = {"_stepkube_python": sys.executable, "_stepkube_dodo": ROOT / "dodo.py"}
    lines = [assign.format(name, quote(value)) for name, value in values.items()]
    return "\n".join([*lines, (templates.FOLDER / f"completion.{shells[0]}").read_text().rstrip()])


def _choices(settings: Settings, pipeline: Pipeline) -> Choices:
    try:
        tasks = list(task_names.tasks(settings, pipeline))
    except (Failure, OSError):
        tasks = list(task_names.tasks(help_command.defaults(), pipeline))
    commands = {
        command.get_name(): command.cmd_options
        for command in DoitMain.DOIT_CMDS
        if command.get_name() in COMMANDS
    }
    instances: list[str] = []
    with suppress(OSError):
        instances = workspace.instance_names(settings.paths.home)
    by_name = {help_text.full_name(task): task for task in tasks}
    return Choices(by_name, commands, table(), instances)


@action
def print_script(names: list[str]) -> None:
    """Print the completion script of a shell."""
    console.say(script(names))


def task_completion(_: Settings) -> dict[str, Any]:
    """Return the task that prints a completion script; `answer` runs it before doit."""
    return {
        "doc": 'print the completion of bash, zsh or fish: eval "$(doit completion bash)"',
        "actions": [print_script],
        "pos_arg": "names",
        "uptodate": [False],
        "meta": {**ANSWER, "arguments": SHELLS},
    }
