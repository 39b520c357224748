"""The other clients of a Delve: their breakpoints, and how to be rid of a connection that hangs."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass

from tasks import delve
from tasks.core import console
from tasks.core.errors import Failure
from tasks.system.run import run


@dataclass(frozen=True)
class SavedBreakpoint:
    """A breakpoint by what it means: a function's entry, or a line of a file."""

    function: str
    file: str
    line: int
    condition: str


def collect(address: str) -> tuple[SavedBreakpoint, ...]:
    """Return the breakpoints that are set in a Delve, so that they can be set again."""
    found: list[SavedBreakpoint] = []
    with suppress(Failure), delve.Delve(address, timeout=3.0) as client, client.halted():
        for point in client.breakpoints():
            entry = point.function and _entry(client, point.function) == point.line
            found.append(
                SavedBreakpoint(
                    point.function if entry else "", point.file, point.line, point.condition
                )
            )
    return tuple(found)


def restore(address: str, marks: tuple[SavedBreakpoint, ...]) -> None:
    """Set breakpoints again; one whose place is gone is said."""
    if not marks:
        return
    with delve.Delve(address, timeout=10.0) as client, client.halted():
        for mark in marks:
            place = {"function": mark.function} if mark.function else {"file": mark.file}
            line = 0 if mark.function else mark.line
            try:
                client.break_at(**place, line=line, condition=mark.condition)
            except Failure as failure:
                where = mark.function or f"{mark.file}:{mark.line}"
                console.warn(f"the breakpoint at {where} was not set again: {failure.message}")


def drop(port: int) -> bool:
    """Cut the connections to a port, as root and where the kernel can (CONFIG_INET_DIAG_DESTROY).

    The way out when an editor's connection keeps Delve from answering.
    """
    if os.geteuid() or shutil.which("ss") is None:
        return False
    cut = run("ss", "-K", "state", "established", f"sport = :{port}", check=False, timeout=10)
    return cut.code == 0


def _entry(client: delve.Delve, function: str) -> int:
    scope = {"GoroutineID": -1, "Frame": 0}
    with suppress(Failure):
        answer = client.call(
            "FindLocation", Scope=scope, Loc=function, IncludeNonExecutableLines=False
        )
        return int(answer["Locations"][0]["line"])
    return 0
