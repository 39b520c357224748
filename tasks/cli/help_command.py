"""Help on the command line: find a request for help or the task list in argv, and answer it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tasks.cli import command_line, help_text, task_names
from tasks.cli.task_names import Pipeline
from tasks.core import console
from tasks.core.errors import Failure
from tasks.settings import load
from tasks.settings.load import Settings

HELP = frozenset({"-h", "--help"})
OVERVIEW = ""
"""The request for help without a task."""


def requested(argv: Sequence[str]) -> str | None:
    """Return the task whose help argv requests, OVERVIEW without a task, None for no help.

    Words after `kubectl` and after `--` belong to another program.
    """
    argv = command_line.split(argv)[0]
    argv = argv[: argv.index("--")] if "--" in argv else argv
    words = [word for word in argv if "=" not in word or word.startswith("-")]
    names = [word for word in words if not word.startswith("-")]
    if words[:1] == ["help"]:
        return next((name for name in names[1:]), OVERVIEW)
    if HELP.intersection(words):
        return next((name for name in names if name != "run"), OVERVIEW)
    return None


def lists_groups(argv: Sequence[str]) -> bool:
    """Return whether argv is `doit list` without options and names."""
    return [word for word in argv if "=" not in word or word.startswith("-")] == ["list"]


def settings() -> Settings:
    """Return the settings for a help text: the defaults if the user's settings are wrong."""
    try:
        return command_line.load_settings()
    except (Failure, OSError):
        return defaults()


def defaults() -> Settings:
    """Return the default settings in the user's workspace."""
    home = os.environ.get("STEPKUBE_HOME")
    return load.load({"STEPKUBE_HOME": home} if home else {}, {}, Path(os.devnull))


def answer(settings: Settings, pipeline: Pipeline) -> None:
    """Print the requested help or task list and exit; return if argv requests neither.

    Exits with 3 if there is no such task, as doit does.
    """
    name = requested(sys.argv[1:])
    if name is None and not lists_groups(sys.argv[1:]):
        return
    stages = {
        stage: list(task_names.tasks(settings, {stage: creators}))
        for stage, creators in pipeline.items()
    }
    tasks = [task for tasks in stages.values() for task in tasks]
    if name is None:
        console.say(help_text.task_list(stages))
    elif name == OVERVIEW:
        console.say(help_text.overview(stages))
    else:
        known = list(dict.fromkeys(help_text.full_name(task) for task in tasks))
        if name not in known:
            console.say(f"error: {task_names.unknown_task(name, known)}", stream=sys.stderr)
            sys.exit(3)
        console.say(help_text.task_help(name, tasks))
    sys.exit(0)
