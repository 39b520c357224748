"""What is to be done to the host, as values: nothing here reads or writes a file."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Failure

_URL = re.compile(r"https?://[\w.:\[\]-]+(/[\w.~%+@-]+)*/?")


@dataclass(frozen=True)
class Mirrors:
    """The mirrors as far as the host is concerned; an empty one leaves its files as they are."""

    rpm: str
    epel: str
    apt: str
    goproxy: str
    gosumdb: str
    git: str

    def require_addresses(self) -> None:
        """Raise Failure naming the first mirror that could not stand in a file of the host."""
        for key, value in (("rpm", self.rpm), ("epel", self.epel), ("apt", self.apt)):
            if value and not _URL.fullmatch(value):
                raise Failure(
                    f"mirror.{key}: {value!r} is not an address",
                    "write it like https://mirror.example.org/path",
                )


@dataclass(frozen=True)
class Edit:
    """What became of a file's text, and what in it was left alone and why."""

    text: str
    left: tuple[str, ...] = ()


Editor = Callable[[str, str, Mirrors], Edit]
"""From a file's name, its original text and the mirrors to what it is to be."""


@dataclass(frozen=True)
class Found:
    """A file of the host: its content, and the content before this tool first changed it."""

    path: Path
    now: bytes
    original: bytes


@dataclass(frozen=True)
class Change:
    """A file that is to have another content."""

    path: Path
    before: bytes
    after: bytes

    def diff(self) -> str:
        """Return the change as a unified diff that `patch` understands."""
        name = str(self.path)
        lines = difflib.unified_diff(_lines(self.before), _lines(self.after), name, name)
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )


@dataclass(frozen=True)
class Command:
    """A command that changes the host, and what it is for."""

    argv: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True)
class Plan:
    """All changes of files, and why others are left alone."""

    changes: tuple[Change, ...] = ()
    left: tuple[str, ...] = ()

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.changes + other.changes, self.left + other.left)

    def lines(self) -> Iterator[str]:
        """Yield the plan as a user reads it: diffs, then what is left alone."""
        for change in self.changes:
            yield change.diff().rstrip("\n")
        for reason in self.left:
            yield f"left alone: {reason}"


def plan(found: Iterable[Found], edit: Editor, mirrors: Mirrors) -> Plan:
    """Return what makes of the files found those that the mirrors ask for.

    It starts from the original content, so that another mirror replaces the one before.
    """
    changes: list[Change] = []
    left: list[str] = []
    for file in found:
        edited = edit(file.path.name, file.original.decode(errors="surrogateescape"), mirrors)
        after = edited.text.encode(errors="surrogateescape")
        if after != file.now:
            changes.append(Change(file.path, file.now, after))
        left += [f"{file.path}: {reason}" for reason in edited.left]
    return Plan(tuple(changes), tuple(left))


def _lines(data: bytes) -> list[str]:
    """Split like diff does, at newlines only."""
    return re.findall(r"[^\n]*\n|[^\n]+", data.decode(errors="replace"))
