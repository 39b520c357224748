"""What comes before any task: settings are read, signals heeded, a place to write to is made."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tasks.cli import task_names, verbosity
from tasks.cli.reporter import Reporter
from tasks.core.errors import Failure
from tasks.settings import load

Creator = Callable[[], Any]
READ_ONLY_COMMANDS = {"dumpdb", "help", "info", "list"}
"""The commands of doit that only print."""


def configuration(creators: Iterable[Creator]) -> dict[str, Any]:
    """Return doit's configuration; settings that are wrong end the program with words."""
    try:
        chosen = load.current()
        verbosity.choose(chosen.logs.verbose)
        chosen.paths.instance.mkdir(parents=True, exist_ok=True)
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except OSError as error:
        sys.exit(f"error: cannot make {error.filename}: {error.strerror}\n  fix: set STEPKUBE_HOME")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    if READ_ONLY_COMMANDS.intersection(sys.argv[1:2]):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
    task_names.install(creators)
    return {
        "minversion": "0.37.0",
        "default_tasks": ["up"],
        "backend": "sqlite3",
        "dep_file": str(chosen.paths.instance / "doit.sqlite"),
        "reporter": Reporter,
        "verbosity": 2,
        "sort": "definition",
        "action_string_formatting": "new",
        "forget_disable_default": True,
    }


def tasks(creators: Iterable[Creator]) -> Iterator[dict[str, Any]]:
    """Yield all tasks in this order: doit would sort creators by their line in their own file."""
    try:
        yield from task_names.tasks(creators)
    except Failure as failure:
        sys.exit(f"error: {failure}")
