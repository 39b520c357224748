"""Task names: all tasks in pipeline order, and the errors for a wrong task name or option."""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand
from doit.task import Task, dict_to_task

from tasks.settings.load import Settings

Creator = Callable[[Settings], Any]
"""A function `task_NAME(settings)` that returns one task description or yields several."""
Pipeline = Mapping[str, Sequence[Creator]]
"""The stages in order, each with its creators."""
Tasks = Iterator[dict[str, Any]]
"""Task descriptions for doit."""
_OPTION = re.compile(r"Error parsing \w+: (.*) \(parsing options: (.*)\)\. Got: ")
_VALUE = re.compile(r"Error parsing parameter '(\w+)' <class '(\w+)'>")
_CHOICE = re.compile(
    r"Error parsing parameter '(\w+)'\. Provided '(.*)' but available choices are: (.*)"
)
_KINDS = {"int": "a whole number", "float": "a number"}


def install(settings: Settings, pipeline: Pipeline) -> None:
    """Replace doit's error texts for an unknown task and for a wrong option.

    doit has no hook for these texts, so __str__ of its exceptions is replaced.
    """
    original = InvalidCommand.__str__

    @functools.wraps(original)
    def text(self: InvalidCommand) -> str:
        if self.not_found is None:
            return str(original(self))
        return unknown_task(self.not_found, names(settings, pipeline))

    InvalidCommand.__str__ = text
    install_option_errors()


def install_option_errors() -> None:
    """Replace doit's error text for a wrong option, which shows Python objects."""
    CmdParseError.__str__ = lambda self: wrong_option(str(self.args[0]))


def tasks(settings: Settings, pipeline: Pipeline) -> Tasks:
    """Yield all task descriptions in pipeline order, named after their creator task_NAME.

    A part of a group with `grouped` False has the same name, but the group does not run it. With
    `ordered`, each part waits for the one before when the command line names the group: doit runs
    parts with a common dependency in any order.
    """
    for creator in itertools.chain.from_iterable(pipeline.values()):
        result, ordered, before = creator(settings), False, ""
        for task in result if inspect.isgenerator(result) else [result]:
            named = {"basename": creator.__name__.removeprefix("task_"), **task}
            ordered = (named.pop("ordered", False) and named["basename"] in sys.argv[1:]) or ordered
            if not named.pop("grouped", True):
                named["subtask_of"] = named["basename"]  # so that doit list hides it
                named["basename"] = f"{named['basename']}:{named.pop('name')}"
            elif ordered and named.get("name"):
                named["task_dep"] = [*named.get("task_dep", ()), *([before] if before else [])]
                before = f"{named['basename']}:{named['name']}"
            yield named


def for_doit(task: dict[str, Any]) -> dict[str, Any] | Task:
    """Return a task description as doit needs it: with `subtask_of`, a task that list hides.

    doit itself gives no actions and options to a task with subtasks.
    """
    if "subtask_of" not in task:
        return task
    rest = {key: value for key, value in task.items() if key not in ("basename", "subtask_of")}
    subtask: Task = dict_to_task({"name": task["basename"], **rest})
    subtask.subtask_of = task["subtask_of"]
    return subtask


def unknown_task(wrong: str, known: Iterable[str]) -> str:
    """Return the error for an unknown task name, with the nearest names as fix."""
    near = nearest(wrong, list(known))
    fix = f"did you mean {' or '.join(near)}?" if near else "run: doit list --all"
    return f"there is no task named {wrong}\n  fix: {fix}"


def wrong_option(message: str) -> str:
    """Return doit's error for an unknown option or a wrong value, without Python objects in it."""
    if match := _OPTION.match(message):
        options = [f"--{name}" for name in re.findall(r"'long':'([\w-]+)'", match[2])]
        known = ", ".join(options)
        fix = f"use one of its options: {known}" if known else "remove it: the task has no options"
        near = difflib.get_close_matches(match[1].split()[1], options, n=1)
        fix = f"did you mean {near[0]}? The options are: {known}" if near else fix
        if match[1].split()[1] in ("--help", "-h"):
            fix = "run: doit help TASK"
        return f"{match[1]}\n  fix: {fix}"
    if match := _VALUE.match(message):
        name = match[1].replace("_", "-")
        problem = f"option --{name}: the value is not {_KINDS.get(match[2], 'valid')}"
        return f"{problem}\n  fix: write for example --{name}=1"
    if match := _CHOICE.match(message):
        name, known = match[1].replace("_", "-"), ", ".join(re.findall(r"'([^']+)'", match[3]))
        return f"option --{name}: {match[2]} is not a choice\n  fix: use one of: {known}"
    return message


def nearest(wrong: str, known: list[str]) -> list[str]:
    """Return up to three known task names that are similar to a wrong one."""
    group, _, part = wrong.partition(":")
    same_group = [name for name in known if name.startswith(f"{group}:")]
    if part and same_group:
        by_part = {name.partition(":")[2]: name for name in same_group}
        close = difflib.get_close_matches(part, by_part, n=3, cutoff=0.5)
        close += [other for other in by_part if other.endswith(part) and other not in close]
        return [by_part[name] for name in close[:3]] or sorted(same_group)[:3]
    return difflib.get_close_matches(wrong, known, n=3, cutoff=0.5)


def names(settings: Settings, pipeline: Pipeline) -> list[str]:
    """Return the names of all tasks of a pipeline, such as `up` and `build:kubelet`."""
    return [
        f"{task['basename']}:{task['name']}" if task.get("name") else task["basename"]
        for task in tasks(settings, pipeline)
    ]
