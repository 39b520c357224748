"""An up-to-date check that describes itself in `doit info`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
