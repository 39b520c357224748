"""State of one doit run: its tasks and selection, the notes of a step, listeners, results."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import IO, Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class DoitRun:
    """What the parts of a run tell each other; a process has one, a test has its own."""

    dependencies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """All tasks by name, in order of definition, each with the tasks it depends on."""
    selected: Sequence[str] = ()
    """The tasks this run was asked for."""
    notes: list[str] = field(default_factory=list)
    """What the current step reports on its closing line."""
    command_listeners: list[Callable[[Sequence[str]], None]] = field(default_factory=list)
    """Callbacks that get every command line before it starts."""
    stops_cluster: bool = False
    """Whether the cluster stops with this process."""
    document: IO[str] | None = None
    """The stream of the one document that stdout is reserved for."""
    results: dict[Callable[..., Any], dict[Any, Any]] = field(default_factory=dict)
    """What `once_per_run` found out."""

    def is_selected(self, name: str) -> bool:
        """Tell whether this run was asked for the task itself, not just for what depends on it."""
        return name in self.selected

    def selected_with_dependencies(self, prefix: str) -> list[str]:
        """Return the names of the tasks this run was asked for, with all they depend on.

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


# The default is shared by all threads of the process: a new thread has an empty context.
_PROCESS = DoitRun()
_current = ContextVar("doit_run", default=_PROCESS)


def current() -> DoitRun:
    """Return the state of this run."""
    return _current.get()


def begin() -> Token[DoitRun]:
    """Start a new run in this process, which knows nothing of the one before, as tests do."""
    return _current.set(DoitRun())


@contextmanager
def fresh() -> Iterator[DoitRun]:
    """Use the state of a new run for the block, as tests do."""
    token = begin()
    try:
        yield current()
    finally:
        _current.reset(token)


def once_per_run(function: Callable[P, R]) -> Callable[P, R]:
    """Keep what a function returns for its (positional) arguments until the run ends."""

    @functools.wraps(function)
    def kept(*args: P.args, **kwargs: P.kwargs) -> R:
        results = current().results.setdefault(function, {})
        if args not in results:
            results[args] = function(*args, **kwargs)
        found: R = results[args]
        return found

    return kept


def forget(function: Callable[..., Any]) -> None:
    """Let the next call of a `once_per_run` function look again."""
    current().results.pop(inspect.unwrap(function), None)
