"""Client of Delve's JSON-RPC API (version 2).

While the program runs, nearly every method waits for one lock. Only GetVersion, a non-blocking
State and halt answer at any time.
"""

from __future__ import annotations

import functools
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from tasks.delve.connection import (
    Connection,
    DelveError,
    DelveRunningError,
    DelveTimeoutError,
)
from tasks.delve.types import Breakpoint, Frame, State, Stop, Variable
from tasks.system import procfs

POLL = 0.02
STATE_RETRY = 1.0
"""Seconds between two State requests.

Delve checks whether the program runs, then takes its lock (service/debugger/debugger.go, State). If
the program resumes between the two, this State call blocks until the program stops again, which may
never happen. A second call is answered.
"""
_RESULT = 16  # flag of a result variable: its value is undefined until the function returns
_EXITED = re.compile(r"has exited with status (-?\d+)")
_LOAD = {
    "FollowPointers": True,
    "MaxVariableRecurse": 1,
    "MaxStringLen": 256,
    "MaxArrayValues": 64,
    "MaxStructFields": -1,
}


P = ParamSpec("P")
T = TypeVar("T")


def _checked(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method raise DelveError if a reply of Delve has another form."""

    @functools.wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DelveError(
                f"{method.__name__}: the answer of Delve has another form ({error!r})",
                "use the Delve of this instance, run: doit toolchain:delve",
            ) from error

    return checked


class Delve(Connection):
    """Client of a headless Delve at `host:port`, for one thread; `timeout` is in seconds.

    Closing the connection does not change the program or its breakpoints. Every method raises
    DelveError, or DelveTimeoutError if no answer comes in time.
    """

    @_checked
    def state(self) -> State:
        """Return the state of the program without stopping it."""
        try:
            raw = self.call_repeatedly("State", STATE_RETRY, NonBlocking=True)["State"]
        except DelveError as error:
            if match := _EXITED.search(error.message):
                return State(exit_status=int(match[1]))
            raise
        if raw["exited"]:
            return State(exit_status=raw["exitStatus"])
        return State(running=True) if raw["Running"] else State(stop=Stop.from_delve(raw))

    @_checked
    def halt(self, timeout: float = 3.0) -> Stop:
        """Pause the program if it runs, and return where it is paused."""
        state = self.state()
        if state.stop is not None:
            # Delve halts with SIGTRAP. In a paused program it stays pending and kills it at detach.
            return state.stop
        raw = self.call("Command", timeout, name="halt")["State"]
        if raw["exited"]:
            raise _process_exited(raw["exitStatus"])
        return Stop.from_delve(raw)

    def resume(self) -> None:
        """Resume the program; return once it runs or is already paused again."""
        ticket = self.start("Command", name="continue")
        # The request may be lost if the connection is closed before Delve has read it.
        self._until(lambda state: state.running or ticket in self._replies, self.timeout)
        if ticket in self._replies:
            self.finish(ticket)

    def wait_running(self, timeout: float) -> None:
        """Wait until the program runs; with --continue, shortly after Delve's first answer."""
        self._until(lambda state: state.running or state.stop is None, timeout)

    @contextmanager
    def halted(self, timeout: float = 3.0) -> Iterator[None]:
        """Pause the program for the block; then resume it, unless it was already paused."""
        halt = self.halt(timeout) if self.state().running else None
        try:
            yield
        finally:
            # If it reached a breakpoint just before the halt, the owner of that breakpoint resumes.
            if halt is not None and halt.breakpoint is None:
                self.resume()

    @_checked
    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """Return the users' breakpoints by id; Delve's breakpoints for panics have negative ids."""
        raw = self._call_paused("ListBreakpoints", All=False)["Breakpoints"]
        breakpoints = [Breakpoint.from_delve(item) for item in raw if item["id"] > 0]
        return tuple(sorted(breakpoints, key=lambda item: item.id))

    @_checked
    def break_at(
        self,
        *,
        function: str = "",
        file: str | Path = "",
        line: int = 0,
        condition: str = "",
        name: str = "",
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> Breakpoint:
        """Set a breakpoint at a function (its exact name) or at a line of a source file.

        `name` (letters and digits) identifies the breakpoint for the client that set it. `options`
        are those of another breakpoint (Breakpoint.options).
        """
        location = {"functionName": function} if function else {"file": str(file), "line": line}
        request = {**options, **location, "Cond": condition, "name": name}
        raw = self._call_paused("CreateBreakpoint", Breakpoint=request)["Breakpoint"]
        if options.get("disabled"):  # Delve sets every new breakpoint enabled
            self._call_paused("AmendBreakpoint", Breakpoint={**raw, "disabled": True})
        return Breakpoint.from_delve(raw)

    def clear(self, number: int) -> None:
        """Remove the breakpoint with this id."""
        self._call_paused("ClearBreakpoint", Id=number)

    def clear_all(self) -> None:
        """Remove all breakpoints of users."""
        for item in self.breakpoints():
            self.clear(item.id)

    @_checked
    def stack(self, depth: int = 50, goroutine: int = -1) -> tuple[Frame, ...]:
        """Return the stack of a goroutine (-1 is the current one), innermost call first."""
        raw = self._call_paused("Stacktrace", Id=goroutine, Depth=depth - 1, Full=False)
        return tuple(Frame.from_delve(item) for item in raw["Locations"])

    def arguments(self, frame: int = 0, goroutine: int = -1) -> tuple[Variable, ...]:
        """Return the arguments of a stack frame, without the results."""
        return self._variables("ListFunctionArgs", "Args", frame, goroutine)

    def locals(self, frame: int = 0, goroutine: int = -1) -> tuple[Variable, ...]:
        """Return the local variables of a stack frame."""
        return self._variables("ListLocalVars", "Variables", frame, goroutine)

    @_checked
    def evaluate(self, expression: str, goroutine: int = -1) -> Variable:
        """Return the value of a Go expression in the innermost stack frame of a goroutine."""
        scope = {"GoroutineID": goroutine, "Frame": 0}
        raw = self._call_paused("Eval", Scope=scope, Expr=expression, Cfg=_LOAD)
        return Variable.from_delve(raw["Variable"])

    @_checked
    def functions(self, pattern: str = "") -> tuple[str, ...]:
        """Return the full names of the functions that match a regular expression."""
        return tuple(self._call_paused("ListFunctions", Filter=pattern)["Funcs"])

    @_checked
    def source_files(self, pattern: str = "") -> tuple[str, ...]:
        """Return the paths of the source files that match a regular expression."""
        return tuple(self._call_paused("ListSources", Filter=pattern)["Sources"])

    @_checked
    def detach(self, kill: bool = False) -> None:
        """Detach from a paused program; Delve exits. A program that Delve started is killed.

        If a halt and a hit happen together, the SIGTRAP of the halt stays pending. It kills the
        program once Delve is detached, so the program runs until Delve has received the signal.
        Clear all breakpoints first, so that the program reaches none.
        """
        deadline = time.monotonic() + self.timeout
        pid = self._call_paused("ProcessPid")["Pid"]
        while not kill and _sigtrap_pending(pid) and time.monotonic() < deadline:
            self.resume()
            self.halt()
        self._call_paused("Detach", Kill=kill)
        self.close("this Delve was detached")

    def _call_paused(self, method: str, **params: Any) -> Any:
        """Call a method that needs a paused program. Raises DelveRunningError if it runs."""
        if self.state().running:
            text = f"{method} is not possible while the program runs"
            raise DelveRunningError(text, "halt it first")
        return self.call(method, **params)

    @_checked
    def _variables(self, method: str, key: str, frame: int, goroutine: int) -> tuple[Variable, ...]:
        scope = {"GoroutineID": goroutine, "Frame": frame}
        raw = self._call_paused(method, Scope=scope, Cfg=_LOAD)[key] or ()
        variables = (item for item in raw if not item["flags"] & _RESULT)
        return tuple(Variable.from_delve(item) for item in variables)

    def _until(self, condition: Callable[[State], bool], timeout: float) -> State:
        deadline = time.monotonic() + timeout
        while not condition(state := self.state()):
            if time.monotonic() > deadline:
                status = "still runs" if state.running else "still does not run"
                raise DelveTimeoutError(f"the program {status} after {timeout:g} s")
            time.sleep(POLL)
        return state


def _sigtrap_pending(pid: int) -> bool:
    """Return whether a SIGTRAP is pending for a process or one of its threads; see proc(5)."""
    masks = (
        procfs.status(thread, key) for thread in procfs.threads(pid) for key in ("SigPnd", "ShdPnd")
    )
    return any(int(mask or "0", 16) >> (signal.SIGTRAP - 1) & 1 for mask in masks)


def _process_exited(status: int | None) -> DelveError:
    return DelveError(f"the program exited with status {status}")
