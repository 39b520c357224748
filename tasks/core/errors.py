"""The one failure type: what went wrong, where, and how to fix it."""

from __future__ import annotations

from tasks.core.redact import mask


class Failure(Exception):  # noqa: N818 - it is the field's word, and not every failure is an error
    """An expected failure that ends a task with a message instead of a traceback.

    `message` says what failed and names the file, key, flag or component; `hint` says what to do.
    Passwords in addresses are masked in both.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(mask(message))
        self.message = mask(message)
        self.hint = mask(hint)

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.hint}" if self.hint else self.message
