"""Start-up: load settings, install signal handlers, make the state folder, configure doit."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import Any

from tasks.cli import command_line, task_names
from tasks.cli.reporter import Reporter
from tasks.cli.task_names import Pipeline, Tasks
from tasks.core import console, doit_run
from tasks.core.errors import Failure
from tasks.settings.load import Settings

READ_ONLY_COMMANDS = {"dumpdb", "help", "info", "list"}
"""The commands of doit that only print."""


def settings() -> Settings:
    """Return the settings of this process; wrong ones end the program with words."""
    try:
        loaded = command_line.load_settings()
        loaded.paths.instance.mkdir(parents=True, exist_ok=True)
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except OSError as error:
        sys.exit(f"error: cannot make {error.filename}: {error.strerror}\n  fix: set STEPKUBE_HOME")
    return loaded


def configuration(settings: Settings, pipeline: Pipeline) -> dict[str, Any]:
    """Return doit's configuration."""
    set_verbosity(settings.logs.verbose)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    if READ_ONLY_COMMANDS.intersection(sys.argv[1:2]):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
    task_names.install(settings, pipeline)
    return {
        "minversion": "0.37.0",
        "default_tasks": ["up"],
        "backend": "sqlite3",
        "dep_file": str(settings.paths.instance / "doit.sqlite"),
        "reporter": Reporter,
        "verbosity": 2,
        "sort": "definition",
        "action_string_formatting": "new",
        "forget_disable_default": True,
    }


def tasks(settings: Settings, pipeline: Pipeline) -> Tasks:
    """Yield all tasks in this order: doit would sort creators by their line in their own file."""
    try:
        yield from task_names.tasks(settings, pipeline)
    except Failure as failure:
        sys.exit(f"error: {failure}")


def set_verbosity(level: int) -> None:
    """Print every command from level 2 on, and tracebacks from level 5 on (KUBE_VERBOSE)."""
    if level >= 2:
        doit_run.current().command_listeners.append(
            lambda words: console.say(f"+ {shlex.join(words)}", stream=sys.stderr)
        )
    if level >= 5:
        os.environ.setdefault("STEPKUBE_DEBUG", "1")
