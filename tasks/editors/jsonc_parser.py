"""JSON with comments as it stands: every value with the position it is at.

VS Code's files are JSONC: comments and trailing commas are part of them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

_BLANK = re.compile(r"[ \t\r\n\ufeff]*")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_SCALAR = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?\d[\d.eE+-]*|true|false|null')


class Damaged(Exception):  # noqa: N818 - it is the file that is
    """A text is not what it should be, at a line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Item:
    """A value, and where it stands.

    `lead` is the end of the token or comment before it, `start` its key if it has one, `body` the
    value itself, `comma` the comma behind it; `items` are its elements or members.
    """

    lead: int
    start: int
    body: int
    end: int
    value: Any
    key: str = ""
    items: tuple[Item, ...] = ()
    comma: int | None = None


def parse(text: str) -> Item:
    """Return the object that a text holds. Raises Damaged."""
    reader = _Reader(text)
    root = reader.item(reader.gap(), keyed=False)
    reader.gap()
    if reader.at < len(text):
        raise reader.damaged("there is more text after the end")
    if not isinstance(root.value, dict):
        raise Damaged(1, "it does not hold an object { ... }")
    return root


def line_of(text: str, at: int) -> int:
    """Return the number of the line that a position is in."""
    return text.count("\n", 0, at) + 1


class _Reader:
    """Reads one text from start to end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def damaged(self, message: str) -> Damaged:
        return Damaged(line_of(self.text, self.at), message)

    def gap(self) -> int:
        """Pass over blanks and comments; return where the last comment ended."""
        lead = self.at
        while True:
            blank = _BLANK.match(self.text, self.at)
            self.at = blank.end() if blank else self.at
            comment = _COMMENT.match(self.text, self.at)
            if comment is None:
                return lead
            lead = self.at = comment.end()

    def item(self, lead: int, *, keyed: bool) -> Item:
        start, key = self.at, ""
        if keyed:
            key = str(self.scalar("a name in quotes", '"'))
            self.gap()
            if not self.text.startswith(":", self.at):
                raise self.damaged(f'a colon after "{key}" is missing')
            self.at += 1
            self.gap()
        body, items = self.at, tuple[Item, ...]()
        opening = self.text[body : body + 1]
        value: Any
        if opening == "{":
            items = self.items("}")
            value = {item.key: item.value for item in items}
        elif opening == "[":
            items = self.items("]")
            value = [item.value for item in items]
        else:
            value = self.scalar("a value")
        return Item(lead, start, body, self.at, value, key, items)

    def items(self, closing: str) -> tuple[Item, ...]:
        self.at += 1
        found: list[Item] = []
        while True:
            lead = self.gap()
            if self.text.startswith(closing, self.at):
                self.at += 1
                return tuple(found)
            if found and found[-1].comma is None:
                raise self.damaged(f"a comma or {closing} is missing")
            item = self.item(lead, keyed=closing == "}")
            self.gap()
            if self.text.startswith(",", self.at):
                item = replace(item, comma=self.at)
                self.at += 1
            found.append(item)

    def scalar(self, what: str, start: str = "") -> Any:
        match = _SCALAR.match(self.text, self.at)
        if match is None or not match[0].startswith(start):
            raise self.damaged(f"{what} is missing or not complete")
        try:
            value = json.loads(match[0])
        except ValueError:
            raise self.damaged(f"{match[0]} is not a value") from None
        self.at = match.end()
        return value
