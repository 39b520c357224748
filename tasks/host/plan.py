"""Plan of host changes: mirrors, file edits, commands; pure, without access to files."""

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
    """Mirrors for the host's files; if a mirror is empty, its files have their original content."""

    rpm: str
    epel: str
    apt: str
    goproxy: str
    gosumdb: str
    git: str

    def require_addresses(self) -> None:
        """Raise Failure for the first mirror that is not a valid address."""
        for key, value in (("rpm", self.rpm), ("epel", self.epel), ("apt", self.apt)):
            if value and not _URL.fullmatch(value):
                raise Failure(
                    f"mirror.{key}: {value!r} is not an address",
                    "use a form like https://mirror.example.org/path",
                )


@dataclass(frozen=True)
class Edit:
    """Edited text of a file."""

    text: str
    skipped: tuple[str, ...] = ()
    """Reasons why parts of the file, or all of it, were not changed."""


Editor = Callable[[str, str, Mirrors], Edit]
"""Returns the edit for a file name, its original text and the mirrors."""


@dataclass(frozen=True)
class HostFile:
    """A file of the host: its content now, and before stepkube changed it."""

    path: Path
    content: bytes
    original: bytes


@dataclass(frozen=True)
class Change:
    """A change of a file's content."""

    path: Path
    before: bytes
    after: bytes

    def diff(self) -> str:
        """Return the change as a unified diff, in the format of patch(1)."""
        name = str(self.path)
        lines = difflib.unified_diff(_lines(self.before), _lines(self.after), name, name)
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )


@dataclass(frozen=True)
class Command:
    """A command that changes the host, and its purpose (`why`)."""

    argv: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True)
class Plan:
    """Changes of files, and reasons why other files or parts of files are kept."""

    changes: tuple[Change, ...] = ()
    skipped: tuple[str, ...] = ()

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.changes + other.changes, self.skipped + other.skipped)

    def lines(self) -> Iterator[str]:
        """Yield the plan as text: the diffs, then the kept files and why."""
        for change in self.changes:
            yield change.diff().rstrip("\n")
        for reason in self.skipped:
            yield f"kept: {reason}"


def plan(host_files: Iterable[HostFile], edit: Editor, mirrors: Mirrors) -> Plan:
    """Return the plan that puts the mirrors into the files.

    Each edit starts from the original content, so that a new mirror replaces the previous one.
    """
    changes: list[Change] = []
    skipped: list[str] = []
    for file in host_files:
        edited = edit(file.path.name, file.original.decode(errors="surrogateescape"), mirrors)
        after = edited.text.encode(errors="surrogateescape")
        if after != file.content:
            changes.append(Change(file.path, file.content, after))
        skipped += [f"{file.path}: {reason}" for reason in edited.skipped]
    return Plan(tuple(changes), tuple(skipped))


def _lines(data: bytes) -> list[str]:
    """Return lines with their newlines; splits only at newlines, like diff(1)."""
    return re.findall(r"[^\n]*\n|[^\n]+", data.decode(errors="replace"))
