"""Start-up: load settings, create the state folder, install signal handlers, configure doit."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from doit.task import Task

from tasks.cli import (
    command_line,
    completion,
    database,
    help_command,
    interrupts,
    owner,
    task_names,
    timeline_file,
)
from tasks.cli.reporter import Reporter
from tasks.cli.task_names import Pipeline
from tasks.core import console, doit_run
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files, workspace

PassOn = Callable[[Settings, Path, Sequence[str]], None]
"""A function that replaces this process with a program, in the user's folder, with arguments."""
READ_ONLY_COMMANDS = {"dumpdb", "help", "info", "list"}
"""The commands of doit that only print."""
WITHOUT_WORKSPACE = frozenset(
    {"config", "down", "env", "kubectl", "logs", "resume", "status", "stop", "undebug"}
)
"""Tasks that work when the disk is full or read-only."""


OF_WORKSPACE = frozenset({"delete", "instances"})
"""Tasks that make no instance and write nothing into one."""


def settings() -> Settings:
    """Load the settings and create the instance's folder; exit with an error message on failure."""
    if _needs_no_settings():
        return help_command.settings()
    try:
        loaded = command_line.load_settings()
        if not _only_prints():
            owner.require_owner(loaded.paths.instance, _names())
        _make_instance(loaded)
        if loaded.logs.timeline and _records_timeline():
            timeline_file.record(loaded)
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except OSError as error:
        sys.exit(
            f"error: cannot create {error.filename}: {error.strerror}\n"
            f"  fix: {files.unwritable_hint(error, error.filename)}"
        )
    return loaded


def _make_instance(settings: Settings) -> None:
    """Create the folders of the workspace; a command that only shows or stops works without."""
    if _is_of_workspace():
        os.umask(workspace.UMASK)
        return
    try:
        workspace.prepare(settings.paths)
    except OSError as error:
        works_without = _only_prints() or set() < _names() <= WITHOUT_WORKSPACE
        if error.errno not in files.UNWRITABLE or not works_without:
            raise


def _is_of_workspace() -> bool:
    return set() < _names() <= OF_WORKSPACE


def _needs_no_settings() -> bool:
    """Return whether the command line requests help or completion: these need no workspace."""
    argv = sys.argv[1:]
    return help_command.requested(argv) is not None or completion.requested(argv) is not None


def _only_prints() -> bool:
    """Return whether the command of doit only prints."""
    return bool(READ_ONLY_COMMANDS.intersection(_words()[:1]))


def _records_timeline() -> bool:
    """Return whether the command line runs tasks that build or start something."""
    only_prints = READ_ONLY_COMMANDS.intersection(_words()[:1])
    return not only_prints and not set() < _names() <= WITHOUT_WORKSPACE


def _words() -> list[str]:
    """Return the words of the command line that are commands or tasks."""
    argv, _ = command_line.split(sys.argv[1:])
    before = ["", *argv]  # the value of -o is not a task
    return [
        word
        for option, word in zip(before, argv, strict=False)
        if "=" not in word and not word.startswith("-") and option not in ("-o", "--output")
    ]


def _names() -> set[str]:
    """Return the commands and tasks without the component after the colon, and without `run`."""
    return {word.partition(":")[0] for word in _words()} - {"run"}


def configuration(settings: Settings, pipeline: Pipeline) -> dict[str, Any]:
    """Return DOIT_CONFIG, after installing signal handlers and doit's error messages."""
    set_verbosity(settings.logs.verbose)
    interrupts.install()
    if _only_prints():
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # exit without an error after `| head`
    task_names.install(settings, pipeline)
    database.install()
    return {
        "minversion": "0.37.0",
        "default_tasks": ["up"],
        "backend": "sqlite3",
        "dep_file": ":memory:"
        if _is_of_workspace() or _needs_no_settings()
        else str(settings.paths.instance / "doit.sqlite"),
        "reporter": Reporter,
        "verbosity": 2,
        "sort": "definition",
        "action_string_formatting": "new",
        "forget_disable_default": True,
    }


def tasks(settings: Settings, pipeline: Pipeline) -> Iterator[dict[str, Any] | Task]:
    """Yield all tasks in pipeline order; exit with an error message on failure.

    One creator yields them all, because doit sorts creators by their line number in their file.
    """
    try:
        help_command.answer(settings, pipeline)
        completion.answer(settings, pipeline)
        yield from map(task_names.for_doit, task_names.tasks(settings, pipeline))
    except Failure as failure:
        sys.exit(f"error: {failure}")


def pass_on(settings: Settings, programs: Mapping[str, PassOn]) -> None:
    """Become the program of a task that gets all arguments after its name, if one was called.

    doit would read these arguments as its own. Exits with an error message on failure.
    """
    argv, arguments = command_line.split(sys.argv[1:])
    if arguments is None:
        return
    try:
        programs[argv[-1]](settings, command_line.start_folder(), arguments)
    except (Failure, OSError) as error:
        sys.exit(f"error: {error}")


def set_verbosity(level: int) -> None:
    """Apply KUBE_VERBOSE: print every command from level 2 on, tracebacks from level 5 on."""
    if level >= 2:
        doit_run.current().command_listeners.append(
            lambda argv: console.say(f"+ {shlex.join(argv)}", stream=sys.stderr)
        )
    if level >= 5:
        os.environ.setdefault("STEPKUBE_DEBUG", "1")
