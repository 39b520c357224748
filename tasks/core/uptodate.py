"""What doit is told to look at before it runs a task, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """A doit `uptodate` item that says in words what it checks."""

    words: str
    test: Callable[..., bool]
    args: tuple[Any, ...]

    def __call__(self) -> bool:
        """Run the test; doit would end the whole run over an error, the action can explain it."""
        try:
            return self.test(*self.args)
        except Exception:
            return False

    def __repr__(self) -> str:
        return self.words
