"""Parse JSON with comments and return every value with its position in the text.

VS Code's files are JSONC: JSON with comments and trailing commas.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

_BLANK = re.compile(r"[ \t\r\n\ufeff]*")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_SCALAR = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?\d[\d.eE+-]*|true|false|null')


class ParseError(Exception):
    """A text is not valid, at a line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Item:
    """A value and its positions in the text."""

    lead: int
    """The end of the token or comment before it."""
    start: int
    """The start of its key, or of the value when it has no key."""
    body: int
    """The start of the value."""
    end: int
    value: Any
    key: str = ""
    items: tuple[Item, ...] = ()
    """The elements of a list or the members of an object."""
    comma: int | None = None
    """The comma after it."""


def parse(text: str) -> Item:
    """Return the root object of a text. Raises ParseError."""
    reader = _Reader(text)
    root = reader.item(reader.gap(), keyed=False)
    reader.gap()
    if reader.at < len(text):
        raise reader.error("more text after the end of the object")
    if not isinstance(root.value, dict):
        raise ParseError(1, "the file is not an object { ... }")
    return root


def line_of(text: str, at: int) -> int:
    """Return the line number of a position."""
    return text.count("\n", 0, at) + 1


class _Reader:
    """Reads one text from start to end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self, message: str) -> ParseError:
        return ParseError(line_of(self.text, self.at), message)

    def gap(self) -> int:
        """Skip blanks and comments; return the end of the last comment."""
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
                raise self.error(f'a colon after "{key}" is missing')
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
                raise self.error(f"a comma or {closing} is missing")
            item = self.item(lead, keyed=closing == "}")
            self.gap()
            if self.text.startswith(",", self.at):
                item = replace(item, comma=self.at)
                self.at += 1
            found.append(item)

    def scalar(self, what: str, start: str = "") -> Any:
        match = _SCALAR.match(self.text, self.at)
        if match is None or not match[0].startswith(start):
            raise self.error(f"{what} is missing or not complete")
        try:
            value = json.loads(match[0])
        except ValueError:
            raise self.error(f"{match[0]} is not a value") from None
        self.at = match.end()
        return value
