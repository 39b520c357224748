"""Failure: the exception for every expected error, with its cause and its fix."""

from __future__ import annotations

from tasks.core.redact import mask


class Failure(Exception):  # noqa: N818 - the usual word; not every failure is an error
    """An expected failure: the task fails with a message and without a traceback.

    `message` says what failed and names the file, key, flag or component; `hint` says how to fix
    it. Passwords in URLs are masked in both.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(mask(message))
        self.message = mask(message)
        self.hint = mask(hint)

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.hint}" if self.hint else self.message
