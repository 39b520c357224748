"""Save and restore the breakpoints in a Delve, and cut connections of its clients."""

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
    """A breakpoint by location, valid in another process of the same program."""

    function: str
    """Function whose entry it is at; empty for another line."""
    file: str
    line: int
    condition: str
    """Go expression; empty for none."""


def collect(address: str) -> tuple[SavedBreakpoint, ...]:
    """Return the breakpoints in a Delve; empty if it does not answer."""
    saved: list[SavedBreakpoint] = []
    with suppress(Failure), delve.Delve(address, timeout=3.0) as client, client.halted():
        for item in client.breakpoints():
            at_entry = item.function and _entry_line(client, item.function) == item.line
            function = item.function if at_entry else ""
            saved.append(SavedBreakpoint(function, item.file, item.line, item.condition))
    return tuple(saved)


def restore(address: str, saved: tuple[SavedBreakpoint, ...]) -> None:
    """Set saved breakpoints; print a warning for each that cannot be set."""
    if not saved:
        return
    with delve.Delve(address, timeout=10.0) as client, client.halted():
        for item in saved:
            location = {"function": item.function} if item.function else {"file": item.file}
            line = 0 if item.function else item.line
            try:
                client.break_at(**location, line=line, condition=item.condition)
            except Failure as failure:
                where = item.function or f"{item.file}:{item.line}"
                console.warn(f"the breakpoint at {where} was not restored: {failure.message}")


def cut_connections(port: int) -> bool:
    """Close the connections to a port with `ss -K`; return whether it worked.

    Needs root and a kernel with CONFIG_INET_DIAG_DESTROY. It helps when the connection of an editor
    blocks Delve.
    """
    if os.geteuid() or shutil.which("ss") is None:
        return False
    result = run("ss", "-K", "state", "established", f"sport = :{port}", check=False, timeout=10)
    return result.code == 0


def _entry_line(client: delve.Delve, function: str) -> int:
    """Return the line of a function's entry; 0 if Delve does not find it."""
    scope = {"GoroutineID": -1, "Frame": 0}
    with suppress(Failure):
        answer = client.call(
            "FindLocation", Scope=scope, Loc=function, IncludeNonExecutableLines=False
        )
        return int(answer["Locations"][0]["line"])
    return 0
