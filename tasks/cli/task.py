"""Parts of a doit task description: actions, options, `meta`, up-to-date checks."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

from doit.exceptions import TaskFailed
from doit.tools import config_changed

from tasks.core.errors import Failure
from tasks.system import files

__all__ = ["ANSWER", "DOCUMENT", "OUTPUT", "Check", "action", "config_changed", "option"]

P = ParamSpec("P")

ANSWER = {"quiet": True, "answer": True}
"""`meta` of a task that only prints an answer: no lines per task, no summary."""
DOCUMENT = {"document": True}
"""`meta` of a task that needs stdout for JSON: `--output json` reserves it before any task runs."""


def option(
    long: str,
    text: str,
    default: Any = False,
    *,
    name: str = "",
    short: str = "",
    choices: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Return the description of one option of a task, for `params`.

    `name` is the parameter of the action, if it is not `long`. The option has the type of
    `default`: without a default it is a flag.
    """
    description = {
        "name": name or long.replace("-", "_"),
        "long": long,
        "short": short,
        "type": type(default),
        "default": default,
        "help": text,
    }
    return description | ({"choices": tuple(choices)} if choices else {})


OUTPUT = option(
    "output",
    "output format",
    "text",
    short="o",
    choices=(("text", "lines to read"), ("json", "one JSON document on stdout")),
)
"""The option --output of a task that prints text or JSON."""


@dataclass(frozen=True)
class Check:
    """An item of a task's `uptodate`: `doit info` prints `message`, doit calls `test(*args)`.

    A test that raises counts as not up to date. Without this, doit would stop the run; the task's
    action can report the error better.
    """

    message: str
    test: Callable[..., bool]
    args: tuple[Any, ...] = ()

    def __call__(self) -> bool:
        """Run the test."""
        try:
            return self.test(*self.args)
        except Exception:
            return False

    def __repr__(self) -> str:
        return self.message


def action(function: Callable[P, Any]) -> Callable[P, Any]:
    """Make a function a doit action that fails without a traceback.

    It returns a Failure or OSError as TaskFailed. With STEPKUBE_DEBUG, an OSError is raised.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except Failure as failure:
            return TaskFailed(str(failure))
        except OSError as error:
            if os.environ.get("STEPKUBE_DEBUG"):
                raise
            return TaskFailed(str(_failure(error)))

    return guarded


def _failure(error: OSError) -> Failure:
    message = f"{error.filename or 'the system'}: {error.strerror or error}"
    hint = "set STEPKUBE_DEBUG=1 to see the traceback"
    if error.errno in files.UNWRITABLE:
        hint = files.UNWRITABLE_HINT
    return Failure(message, hint)
