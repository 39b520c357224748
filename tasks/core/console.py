"""The one place that prints, and what a running step can say and ask; see reporter.py."""

from __future__ import annotations

import errno
import functools
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any, ParamSpec

from doit.exceptions import TaskFailed

from tasks.core.errors import Failure
from tasks.core.redact import mask

P = ParamSpec("P")

notes: list[str] = []
"""What the current step has to say of itself."""
selected_tasks: list[str] = []
"""The tasks this run was asked for."""
tasks_by_name: dict[str, Any] = {}
"""All tasks by name."""

ANSWER = {"quiet": True, "answer": True}
"""The `meta` of a task whose output is all that a caller wants to read."""
OUTPUT = {
    "name": "output",
    "long": "output",
    "short": "o",
    "default": "text",
    "choices": (("text", "for people"), ("json", "for machines")),
    "help": "form of the answer",
}
"""The option of a task that answers people and machines."""


def say(text: str = "", *, stream: IO[str] | None = None) -> None:
    """Print one line for the user at once; a password in an address is never shown."""
    out = stream or sys.stdout
    try:
        _clear(out)
        out.write(mask(text) + "\n")
        out.flush()
    except BrokenPipeError:
        redirect_to_devnull(out.fileno())


def redirect_to_devnull(*descriptors: int) -> None:
    """Go on when nobody reads any more, as after `| head`: nothing may end half done over that."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    say(f"warning: {text}", stream=sys.stderr)


def note(text: str) -> None:
    """Add a few words to the line that closes the current step."""
    notes.append(text)


def progress(text: str) -> None:
    """Show a line that the next one overwrites; silent where there is no terminal."""
    if live(sys.stdout):
        sys.stdout.write(f"\r\x1b[K  {mask(text)[: _width() - 3]}")
        sys.stdout.flush()


class Heartbeat:
    """Progress of a long step: a live line on a terminal, a plain line every so often elsewhere."""

    def __init__(self, every: float = 20.0) -> None:
        self._start = time.monotonic()
        self._last = self._start
        self._every = every

    def beat(self, text: str) -> None:
        """Report where the step stands; cheap enough to call on every line of output."""
        now = time.monotonic()
        line = f"{text}, {now - self._start:.0f} s"
        if live(sys.stdout):
            progress(line)
        elif now - self._last >= self._every:
            self._last = now
            say(f"  ... {line}")


def action(function: Callable[P, Any]) -> Callable[P, Any]:
    """Make a function a doit action: a Failure ends the task with words, not with a traceback."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except Failure as failure:
            return TaskFailed(str(failure))
        except OSError as error:
            if os.environ.get("STEPKUBE_DEBUG"):
                raise
            return TaskFailed(str(_in_words(error)))

    return guarded


def _in_words(error: OSError) -> Failure:
    what = f"{error.filename or 'the system'}: {error.strerror or error}"
    hint = "STEPKUBE_DEBUG=1 shows where this came from"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space, or point STEPKUBE_HOME at a larger disk"
    return Failure(what, hint)


def selected_with_dependencies(prefix: str) -> list[str]:
    """Return the names of the tasks this run was asked for, with all they depend on.

    Only names that start with `prefix` are returned, in order of definition.
    """
    wanted: set[str] = set()
    queue = list(selected_tasks)
    while queue:
        name = queue.pop()
        if name in wanted or name not in tasks_by_name:
            continue
        wanted.add(name)
        queue += [*tasks_by_name[name].task_dep, *tasks_by_name[name].setup_tasks]
    return [name for name in tasks_by_name if name in wanted and name.startswith(prefix)]


def selected(name: str) -> bool:
    """Tell whether this run was asked for the task itself, not just for what depends on it."""
    return name in selected_tasks


def live(out: IO[str]) -> bool:
    """Tell whether a stream is a terminal on which a line can be overwritten."""
    return out.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def _clear(out: IO[str]) -> None:
    if live(out):
        out.write("\r\x1b[K")


def _width() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100
