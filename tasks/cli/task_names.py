"""Task names: their order in lists, and the error for a wrong name or option."""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand

from tasks.settings.load import Settings

Creator = Callable[[Settings], Any]
"""Makes one task description or several: `task_NAME(settings)`."""
Pipeline = Mapping[str, Sequence[Creator]]
"""The stages in order, each with its creators."""
Tasks = Iterator[dict[str, Any]]
"""Task descriptions, as doit reads them."""
_OPTION = re.compile(r"Error parsing \w+: (.*) \(parsing options: (.*)\)\. Got: ")
_VALUE = re.compile(r"Error parsing parameter '(\w+)' <class '(\w+)'>")
_KINDS = {"int": "a whole number", "float": "a number"}


def install(settings: Settings, pipeline: Pipeline) -> None:
    """Let the error for an unknown task name the nearest tasks of the pipeline.

    doit has no hook for this text, so __str__ of its exceptions is replaced.
    """
    original = InvalidCommand.__str__

    @functools.wraps(original)
    def text(self: InvalidCommand) -> str:
        if self.not_found is None:
            return str(original(self))
        return unknown_task(self.not_found, names(settings, pipeline))

    InvalidCommand.__str__ = text
    CmdParseError.__str__ = lambda self: wrong_option(str(self.args[0]))


def tasks(settings: Settings, pipeline: Pipeline) -> Tasks:
    """Yield what creators make, in their order, each with the name its creator gives it."""
    for creator in itertools.chain.from_iterable(pipeline.values()):
        made = creator(settings)
        for task in made if inspect.isgenerator(made) else [made]:
            yield {"basename": creator.__name__.removeprefix("task_"), **task}


def unknown_task(wrong: str, known: Iterable[str]) -> str:
    """Return the error for an unknown name."""
    near = nearest(wrong, list(known))
    fix = f"did you mean {' or '.join(near)}?" if near else "doit list --all shows every task"
    return f"there is no task named {wrong}\n  fix: {fix}"


def wrong_option(said: str) -> str:
    """Return the error for an unknown option or a wrong value, without doit's own objects in it."""
    if found := _OPTION.match(said):
        known = ", ".join(f"--{name}" for name in re.findall(r"'long':'([\w-]+)'", found[2]))
        fix = f"its options are {known}" if known else "leave it out: there are no options"
        return f"{found[1]}\n  fix: {fix}"
    if found := _VALUE.match(said):
        return f"option --{found[1]} wants {_KINDS.get(found[2], 'another value')}"
    return said


def nearest(wrong: str, known: list[str]) -> list[str]:
    """Return up to three known names that look like the wrong one."""
    verb, _, part = wrong.partition(":")
    same_verb = [name for name in known if name.startswith(f"{verb}:")]
    if part and same_verb:
        ends = {name.partition(":")[2]: name for name in same_verb}
        found = difflib.get_close_matches(part, ends, n=3, cutoff=0.5)
        found += [end for end in ends if end.endswith(part) and end not in found]
        return [ends[end] for end in found[:3]] or sorted(same_verb)[:3]
    return difflib.get_close_matches(wrong, known, n=3, cutoff=0.5)


def names(settings: Settings, pipeline: Pipeline) -> list[str]:
    """Return the names of all tasks of a pipeline."""
    return [
        f"{task['basename']}:{task['name']}" if task.get("name") else task["basename"]
        for task in tasks(settings, pipeline)
    ]
