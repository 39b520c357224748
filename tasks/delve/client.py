"""A client of Delve's JSON-RPC API (version 2).

Nearly every method waits on one lock as long as the program runs; only GetVersion, a non-blocking
State and halt answer at any time.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.delve.connection import (
    Connection,
    DelveError,
    DelveRunningError,
    DelveTimeoutError,
)
from tasks.delve.types import Breakpoint, Frame, State, Stop, Variable, Version
from tasks.system import procfs

POLL = 0.02
ASKED_AGAIN = 1.0
"""Seconds after which the state is asked for again.

Delve looks whether the program runs, then takes its lock (service/debugger/debugger.go, State): of
a program that goes on in between it answers when that stops, be it never. The next one is answered.
"""
_RESULT = 16  # flag of a result variable: garbage until the function returns
_EXITED = re.compile(r"has exited with status (-?\d+)")
_LOAD = {
    "FollowPointers": True,
    "MaxVariableRecurse": 1,
    "MaxStringLen": 256,
    "MaxArrayValues": 64,
    "MaxStructFields": -1,
}


class Delve(Connection):
    """A connection to a headless Delve at `host:port`, for one thread; `timeout` is in seconds.

    Closing it leaves the program and its breakpoints as they are. Every method raises DelveError,
    or DelveTimeoutError when there is no answer within its time.
    """

    def version(self, timeout: float | None = None) -> Version:
        """Return Delve's version, whatever the program does."""
        raw = self.call("GetVersion", timeout)
        delve = raw["DelveVersion"].splitlines()[0].removeprefix("Version: ")
        return Version(delve, raw["MinSupportedVersionOfGo"], raw["MaxSupportedVersionOfGo"])

    def state(self) -> State:
        """Return what the program does, without disturbing it."""
        try:
            raw = self.call_again("State", ASKED_AGAIN, NonBlocking=True)["State"]
        except DelveError as error:
            if match := _EXITED.search(error.message):
                return State(exit_status=int(match[1]))
            raise
        if raw["exited"]:
            return State(exit_status=raw["exitStatus"])
        return State(running=True) if raw["Running"] else State(stop=Stop.of(raw))

    def halt(self, timeout: float = 3.0) -> Stop:
        """Hold the program, unless it is held already, and return where."""
        state = self.state()
        if state.stop is not None:
            # Delve halts by SIGTRAP; one that nothing waits for would kill the program at detach.
            return state.stop
        raw = self.call("Command", timeout, name="halt")["State"]
        if raw["exited"]:
            raise _process_exited(raw["exitStatus"])
        return Stop.of(raw)

    def resume(self) -> None:
        """Let the program run; return once it does, or has already stopped again."""
        ticket = self.start("Command", name="continue")
        # Until Delve has read the request, closing the connection might lose it.
        self._until(lambda state: state.running or ticket in self._replies, self.timeout)
        if ticket in self._replies:
            self.finish(ticket)

    def wait_running(self, timeout: float) -> None:
        """Wait until the program runs; under --continue that is a little after the first answer."""
        self._until(lambda state: state.running or state.stop is None, timeout)

    def wait_stop(self, timeout: float) -> Stop:
        """Wait until the program is held; return where, at a breakpoint with the arguments.

        After DelveTimeoutError one may wait again. Raises DelveError when the program ends instead.
        """
        state = self._until(lambda state: not state.running, timeout)
        if state.stop is None:
            raise _process_exited(state.exit_status)
        return replace(state.stop, arguments=self.arguments() if state.stop.breakpoint else ())

    @contextmanager
    def halted(self, timeout: float = 3.0) -> Iterator[None]:
        """Hold the program for the block; afterwards it runs again, unless it was held before."""
        halt = self.halt(timeout) if self.state().running else None
        try:
            yield
        finally:
            # It may have reached somebody's breakpoint just before: that stop is theirs.
            if halt is not None and halt.breakpoint is None:
                self.resume()

    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """Return the breakpoints that users set; Delve's own, for panics, have negative ids."""
        raw = self._call_held("ListBreakpoints", All=False)["Breakpoints"]
        found = [Breakpoint.of(item) for item in raw if item["id"] > 0]
        return tuple(sorted(found, key=lambda item: item.id))

    def break_at(
        self,
        *,
        function: str = "",
        file: str | Path = "",
        line: int = 0,
        condition: str = "",
        name: str = "",
    ) -> Breakpoint:
        """Set a breakpoint at the exact name of a function, or at a line of a source file.

        Its `name`, of letters and digits, lets the one who set it find it again.
        """
        place = {"functionName": function} if function else {"file": str(file), "line": line}
        wanted = {**place, "Cond": condition, "name": name}
        raw = self._call_held("CreateBreakpoint", Breakpoint=wanted)
        return Breakpoint.of(raw["Breakpoint"])

    def clear(self, number: int) -> None:
        """Remove the breakpoint with this id."""
        self._call_held("ClearBreakpoint", Id=number)

    def clear_all(self) -> None:
        """Remove every breakpoint a user set."""
        for item in self.breakpoints():
            self.clear(item.id)

    def stack(self, depth: int = 50, goroutine: int = -1) -> tuple[Frame, ...]:
        """Return the calls of a goroutine (-1 is the current one), innermost first."""
        raw = self._call_held("Stacktrace", Id=goroutine, Depth=depth - 1, Full=False)["Locations"]
        return tuple(Frame.of(item) for item in raw)

    def arguments(self, frame: int = 0, goroutine: int = -1) -> tuple[Variable, ...]:
        """Return the arguments of a call on the stack, without its results."""
        return self._variables("ListFunctionArgs", "Args", frame, goroutine)

    def locals(self, frame: int = 0, goroutine: int = -1) -> tuple[Variable, ...]:
        """Return the local variables of a call on the stack."""
        return self._variables("ListLocalVars", "Variables", frame, goroutine)

    def evaluate(self, expression: str, goroutine: int = -1) -> Variable:
        """Return the value of a Go expression in the innermost call of a goroutine."""
        scope = {"GoroutineID": goroutine, "Frame": 0}
        raw = self._call_held("Eval", Scope=scope, Expr=expression, Cfg=_LOAD)
        return Variable.of(raw["Variable"])

    def functions(self, pattern: str = "") -> tuple[str, ...]:
        """Return the full names of the functions that a regular expression finds."""
        return tuple(self._call_held("ListFunctions", Filter=pattern)["Funcs"])

    def sources(self, pattern: str = "") -> tuple[str, ...]:
        """Return the paths of the source files that a regular expression finds."""
        return tuple(self._call_held("ListSources", Filter=pattern)["Sources"])

    def detach(self, kill: bool = False) -> None:
        """Let go of a held program, which ends Delve; one that Delve started is killed anyway.

        A halt that met a hit leaves its SIGTRAP pending, and the program would die of it without a
        Delve to take it; to run on takes it. Clear all breakpoints before, so that nothing is hit.
        """
        deadline = time.monotonic() + self.timeout
        pid = self._call_held("ProcessPid")["Pid"]
        while not kill and _trapped(pid) and time.monotonic() < deadline:
            self.resume()
            self.halt()
        self._call_held("Detach", Kill=kill)
        self.close("this Delve was detached")

    def _call_held(self, method: str, **params: Any) -> Any:
        """Call what would have to wait as long as the program runs, unless it runs."""
        if self.state().running:
            text = f"{method} is not possible while the program runs"
            raise DelveRunningError(text, "halt it first")
        return self.call(method, **params)

    def _variables(self, method: str, key: str, frame: int, goroutine: int) -> tuple[Variable, ...]:
        scope = {"GoroutineID": goroutine, "Frame": frame}
        raw = self._call_held(method, Scope=scope, Cfg=_LOAD)[key] or ()
        shown = (item for item in raw if not item["flags"] & _RESULT)
        return tuple(Variable.of(item) for item in shown)

    def _until(self, condition: Callable[[State], bool], timeout: float) -> State:
        deadline = time.monotonic() + timeout
        while not condition(state := self.state()):
            if time.monotonic() > deadline:
                does = "still runs" if state.running else "still does not run"
                raise DelveTimeoutError(f"the program {does} after {timeout:g} s")
            time.sleep(POLL)
        return state


def _trapped(pid: int) -> bool:
    """Tell whether a SIGTRAP waits to be delivered to a process or a thread of it; see proc(5)."""
    masks = (
        procfs.status(thread, key) for thread in procfs.threads(pid) for key in ("SigPnd", "ShdPnd")
    )
    return any(int(mask or "0", 16) >> (signal.SIGTRAP - 1) & 1 for mask in masks)


def _process_exited(status: int | None) -> DelveError:
    return DelveError(f"the program ended with exit status {status}")
