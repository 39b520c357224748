"""Start-up: load settings, create the state folder, install signal handlers, configure doit."""

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
from tasks.system import workspace

READ_ONLY_COMMANDS = {"dumpdb", "help", "info", "list"}
"""The commands of doit that only print."""


def settings() -> Settings:
    """Load the settings and create the instance's folder; exit with an error message on failure."""
    try:
        loaded = command_line.load_settings()
        workspace.prepare(loaded.paths)
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except OSError as error:
        sys.exit(
            f"error: cannot create {error.filename}: {error.strerror}\n"
            "  fix: set STEPKUBE_HOME to a folder that you can write to"
        )
    return loaded


def configuration(settings: Settings, pipeline: Pipeline) -> dict[str, Any]:
    """Return DOIT_CONFIG, after installing signal handlers and doit's error messages."""
    set_verbosity(settings.logs.verbose)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    if READ_ONLY_COMMANDS.intersection(sys.argv[1:2]):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # exit without an error after `| head`
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
    """Yield all tasks in pipeline order; exit with an error message on failure.

    One creator yields them all, because doit sorts creators by their line number in their file.
    """
    try:
        yield from task_names.tasks(settings, pipeline)
    except Failure as failure:
        sys.exit(f"error: {failure}")


def set_verbosity(level: int) -> None:
    """Apply KUBE_VERBOSE: print every command from level 2 on, tracebacks from level 5 on."""
    if level >= 2:
        doit_run.current().command_listeners.append(
            lambda argv: console.say(f"+ {shlex.join(argv)}", stream=sys.stderr)
        )
    if level >= 5:
        os.environ.setdefault("STEPKUBE_DEBUG", "1")
