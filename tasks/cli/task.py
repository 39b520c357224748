"""What a task description for doit is made of: actions, options, up-to-date checks."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

from doit.exceptions import TaskFailed
from doit.tools import config_changed

from tasks.core.errors import Failure

__all__ = ["ANSWER", "DOCUMENT", "OUTPUT", "Check", "action", "config_changed", "option"]

P = ParamSpec("P")

ANSWER = {"quiet": True, "answer": True}
"""The `meta` of a task whose output is all that a caller wants to read."""
DOCUMENT = {"document": True}
"""The `meta` of a task for which `--output json` reserves stdout, before any other task runs."""


def option(
    long: str,
    text: str,
    default: Any = False,
    *,
    name: str = "",
    short: str = "",
    choices: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Describe one option of a task; `name` is the action's parameter if it is called otherwise.

    The type is that of the default: without one it is a flag.
    """
    described = {
        "name": name or long.replace("-", "_"),
        "long": long,
        "short": short,
        "type": type(default),
        "default": default,
        "help": text,
    }
    return described | ({"choices": tuple(choices)} if choices else {})


OUTPUT = option(
    "output",
    "form of the answer",
    "text",
    short="o",
    choices=(("text", "for people"), ("json", "for machines")),
)
"""The option of a task that answers people and machines."""


@dataclass(frozen=True)
class Check:
    """An item of a task's `uptodate`: `doit info` prints the message, doit calls the test.

    A test that raises counts as not up to date: doit would end the whole run over the error, and
    the task's action can explain it.
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
