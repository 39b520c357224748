"""State of one doit run: all tasks, selected tasks, notes of a task, listeners, cached results."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Span:
    """A step of a run with its start and end in epoch seconds; see core/timeline.py."""

    name: str
    category: str
    start: float
    end: float
    process: str
    thread: str
    """Spans of one thread of a process do not overlap, except one within the other."""
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass
class DoitRun:
    """Shared state of the parts of a run: one per process; each test has a new one."""

    dependencies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All task names in order of definition, each with the tasks it depends on."""
    selected: Sequence[str] = ()
    """The tasks that the command line names, or the default tasks."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The options of each selected task."""
    notes: list[str] = field(default_factory=list)
    """Notes of the current task: the reporter prints them when the task finishes."""
    command_listeners: list[Callable[[Sequence[str]], None]] = field(default_factory=list)
    """Callbacks that get every command line before it starts."""
    changed: bool = False
    """Whether a task of this run has done something that the reporter printed."""
    stops_cluster: bool = False
    """Whether this process stops the cluster when it exits."""
    document: IO[str] | None = None
    """The stream of the one document for which stdout is reserved."""
    spans: list[Span] | None = None
    """The recorded spans; None if this run records no timeline."""
    timeline: Path | None = None
    """The file that gets the recorded spans at the end of the run."""
    results: dict[Callable[..., Any], dict[Any, Any]] = field(default_factory=dict)
    """Results of `once_per_run` functions, by function and arguments."""

    def is_selected(self, name: str) -> bool:
        """Return whether a task is selected itself, not only as a dependency."""
        return name in self.selected

    def selected_with_dependencies(self, prefix: str) -> list[str]:
        """Return the names of the selected tasks and of all their dependencies.

        Only names that start with `prefix` are returned, in order of definition.
        """
        needed: set[str] = set()
        queue = list(self.selected)
        while queue:
            name = queue.pop()
            if name not in needed and name in self.dependencies:
                needed.add(name)
                queue += self.dependencies[name]
        return [name for name in self.dependencies if name in needed and name.startswith(prefix)]


# A new thread has an empty context: the default value is what all threads share.
_PROCESS = DoitRun()
_current = ContextVar("doit_run", default=_PROCESS)


def current() -> DoitRun:
    """Return the state of this run."""
    return _current.get()


def begin() -> Token[DoitRun]:
    """Start a new run with empty state in this process, for tests; `_current.reset` ends it."""
    return _current.set(DoitRun())


@contextmanager
def fresh() -> Iterator[DoitRun]:
    """Use a new run with empty state inside the `with` block; for tests."""
    token = begin()
    try:
        yield current()
    finally:
        _current.reset(token)


def once_per_run(function: Callable[P, R]) -> Callable[P, R]:
    """Cache the results of a function by its positional arguments until the run ends."""

    @functools.wraps(function)
    def cached(*args: P.args, **kwargs: P.kwargs) -> R:
        results = current().results.setdefault(function, {})
        if args not in results:
            results[args] = function(*args, **kwargs)
        result: R = results[args]
        return result

    return cached


def forget(function: Callable[..., Any]) -> None:
    """Remove the cached results of a `once_per_run` function."""
    current().results.pop(inspect.unwrap(function), None)
