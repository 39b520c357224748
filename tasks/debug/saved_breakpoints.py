"""Breakpoints of a Delve, set again in another process: at the same statements, if they exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tasks import delve
from tasks.build.source_text import SourceText
from tasks.core.errors import Failure
from tasks.debug import statements
from tasks.debug.statements import LostError, Place
from tasks.delve import tracepoint
from tasks.delve.types import Breakpoint


@dataclass(frozen=True)
class SavedBreakpoint:
    """A breakpoint with all that finds its statement in another build of the same program."""

    function: str
    """Full name of the function that it is in; empty if Delve does not know it."""
    file: str
    """Path in the debug information."""
    line: int
    at_entry: bool
    """Whether it is where Delve sets a breakpoint for the function's name."""
    offset: int
    """Lines after the entry of the function."""
    condition: str
    """Go expression; empty for none."""
    name: str
    options: Mapping[str, Any]
    path: str = ""
    """Path of the file in the tree; empty for a file of Go or of another Go module, absolute if the
    source of the binary is not known."""
    text: str = ""
    """The file as it was when the binary was built; empty if it is not known."""
    watches: str = ""
    """Variable of a watchpoint: its address is valid in its process only."""


@dataclass
class Outcome:
    """What became of saved breakpoints."""

    total: int = 0
    """Number of those that are set again."""
    moved: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    by_line: int = 0
    """Number of those whose statement is not known: an older stepkube built the binary."""

    def __str__(self) -> str:
        parts = [f"{self.total} breakpoints"]
        if self.moved:
            parts.append(f"{len(self.moved)} moved {', '.join(self.moved)}")
        if self.lost:
            parts.append(f"{len(self.lost)} lost: {'; '.join(self.lost)}")
        if self.by_line:
            parts.append(f"{self.by_line} by line number: the source of the old binary is not kept")
        return ", ".join(parts)


def collect(
    address: str, source: SourceText | None = None, *, with_editors: bool = True
) -> tuple[SavedBreakpoint, ...]:
    """Return the breakpoints in a Delve, whose program was built from `source`.

    Without `with_editors`, those that an editor set with DAP are left out: it sets them again
    itself. Raises Failure if Delve does not answer.
    """
    saved: list[SavedBreakpoint] = []
    with delve.Delve(address, timeout=3.0) as client, client.halted():
        for item in client.breakpoints():
            # Delve accepts only letters and digits from a client that uses JSON-RPC
            by_editor = bool(item.name) and not item.name.isalnum()
            if item.name == tracepoint.NAME or (by_editor and not with_editors):
                continue
            entry = _entry(client, item.function)
            path = source.relative(item.file) if source else item.file
            saved.append(
                SavedBreakpoint(
                    function=item.function,
                    file=item.file,
                    line=item.line,
                    at_entry=entry == Place(item.file, item.line),
                    offset=item.line - entry.line if entry and entry.file == item.file else 0,
                    condition=item.condition,
                    name="" if by_editor else item.name,
                    options=item.options,
                    path=path,
                    text=source.read(path) if source else "",
                    watches=item.watches,
                )
            )
    return tuple(saved)


def restore(
    address: str, saved: Iterable[SavedBreakpoint], source: SourceText | None = None
) -> Outcome:
    """Set saved breakpoints in a program that was built from `source`; return what became of them.

    Raises Failure if Delve does not answer.
    """
    outcome, saved = Outcome(), tuple(saved)
    if saved:
        with delve.Delve(address, timeout=10.0) as client, client.halted():
            for item in saved:
                try:
                    point = _set(client, item, source)
                except (LostError, Failure) as reason:
                    why = reason.message if isinstance(reason, Failure) else str(reason)
                    outcome.lost.append(f"{_describe(item)} {why}")
                    continue
                outcome.total += 1
                outcome.by_line += bool(item.path and not item.text and not item.at_entry)
                if (point.file, point.line) != (item.file, item.line):
                    outcome.moved.append(_describe_move(item, point))
    return outcome


def _set(client: delve.Delve, item: SavedBreakpoint, source: SourceText | None) -> Breakpoint:
    """Set a breakpoint at its statement. Raises LostError or Failure if that is not possible."""
    if item.watches:
        raise LostError("is a watchpoint: its variable has another address now")

    def set_at(**location: Any) -> Breakpoint:
        return client.break_at(
            **location, condition=item.condition, name=item.name, options=item.options
        )

    entry = _entry(client, item.function)
    is_closure = statements.Function.of(item.function).is_closure
    if item.at_entry and not (is_closure and item.text):
        if entry is None:
            raise LostError("no longer exists")
        return set_at(function=item.function)
    if not item.text or source is None:
        # without the text, the function is the only thing that is known
        line = entry.line + item.offset if entry and entry.file == item.file else item.line
        return set_at(file=item.file, line=line)
    failure: Failure | None = None
    new = {path: source.read(path) for path in source.package(item.path)}
    try:
        for place in statements.find(item.function, item.text, Place(item.path, item.line), new):
            try:
                return set_at(file=_in_binary(client, item, place.file), line=place.line)
            except Failure as error:  # this file is for another operating system
                failure = error
    except LostError:
        if failure is None:
            raise
    raise failure or LostError("no longer exists")


def _in_binary(client: delve.Delve, item: SavedBreakpoint, path: str) -> str:
    """Return the path in the debug information of a file of the tree.

    Another version of the tree is in another folder.
    """
    near = item.file.removesuffix(item.path) + path
    known = client.source_files(f"/{path.replace('.', '[.]')}$")
    return near if near in known or not known else known[0]


def _entry(client: delve.Delve, function: str) -> Place | None:
    """Return where Delve sets a breakpoint for a function's name; None if it does not exist."""
    scope = {"GoroutineID": -1, "Frame": 0}
    with suppress(Failure, KeyError, IndexError, TypeError):
        answer = client.call(
            "FindLocation", Scope=scope, Loc=function, IncludeNonExecutableLines=False
        )
        location = answer["Locations"][0]
        return Place(location["file"], location["line"])
    return None


def _describe(item: SavedBreakpoint) -> str:
    """Return the short name of a breakpoint's function, else its file and line."""
    return item.function.rpartition("/")[2] or f"{item.file.rpartition('/')[2]}:{item.line}"


def _describe_move(item: SavedBreakpoint, point: Breakpoint) -> str:
    if point.file == item.file:
        return f"from line {item.line} to {point.line}"
    old, new = (path.rpartition("/")[2] for path in (item.file, point.file))
    return f"from {old}:{item.line} to {new}:{point.line}"
