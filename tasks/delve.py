"""Delve, the debugger: its command lines, a client of its JSON-RPC API (version 2), its traces.

Nearly every method waits on one lock as long as the program runs; only GetVersion, a non-blocking
State and halt answer at any time. A request that was never answered stands in front of all later
ones of its connection, so running out of time closes the connection and a new one is needed.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from tasks.failure import Failure

_POLL = 0.02
_EXITED = re.compile(r"has exited with status (-?\d+)")
_RESULT = 16  # flag of a result variable: garbage until the function returns
# reflect.Kind
_LISTS, _FUNC, _INTERFACE, _MAP, _POINTER, _STRING, _STRUCT = (17, 23), 19, 20, 21, 22, 24, 25
_LOAD = {
    "FollowPointers": True,
    "MaxVariableRecurse": 1,
    "MaxStringLen": 256,
    "MaxArrayValues": 64,
    "MaxStructFields": -1,
}


class DelveError(Failure):
    """Delve refused, is gone, or cannot be reached."""


class DelveTimeoutError(DelveError):
    """Delve did not answer in time; when halt does not, an editor that speaks DAP is attached."""


@dataclass(frozen=True)
class Version:
    """Delve's version and the Go versions it supports."""

    delve: str
    go_min: str
    go_max: str


@dataclass(frozen=True)
class Breakpoint:
    """A breakpoint a user set; it lives in Delve and outlives the client that set it."""

    id: int
    function: str
    file: str
    line: int
    condition: str
    hits: int


@dataclass(frozen=True)
class Variable:
    """A variable, its value written as in Go's source and shortened."""

    name: str
    type: str
    value: str


@dataclass(frozen=True)
class Frame:
    """One call of a stack; when it is `optimized` its variables may be missing."""

    function: str
    file: str
    line: int
    optimized: bool


@dataclass(frozen=True)
class Stop:
    """Where a program is held; without a breakpoint it was halted by hand or by Delve itself."""

    breakpoint: Breakpoint | None
    goroutine: int | None
    file: str
    line: int
    function: str
    arguments: tuple[Variable, ...] = ()


@dataclass(frozen=True)
class State:
    """What a program does: it runs, is held at `stop`, or has ended with `exit_status`."""

    running: bool = False
    stop: Stop | None = None
    exit_status: int | None = None


class Delve:
    """A connection to a headless Delve at `host:port`, for one thread; `timeout` is in seconds.

    Closing it leaves the program and its breakpoints as they are. Every method raises DelveError,
    or DelveTimeoutError when there is no answer within its time.
    """

    def __init__(self, address: str, timeout: float = 10.0) -> None:
        host, _, port = address.rpartition(":")
        self.address, self.timeout = address, timeout
        self._ids = itertools.count(1)
        self._replies: dict[int, dict[str, Any]] = {}
        self._partial = b""
        self._closed = ""
        try:
            self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout)
        except OSError as error:
            raise DelveError(f"cannot connect to Delve at {address}: {error}") from None
        if self._socket.getsockname() == self._socket.getpeername():
            # The kernel gave us the very port we call: nobody listens, and we would block it.
            self._socket.close()
            raise DelveError(f"cannot connect to Delve at {address}: nobody listens there")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, why: str = "this connection to Delve was closed") -> None:
        """Close the connection; the program stays as it is."""
        self._closed = self._closed or why
        self._socket.close()

    def start(self, method: str, **params: Any) -> int:
        """Send a request and return a ticket for its reply, for what takes long."""
        if self._closed:
            raise DelveError(self._closed, "connect again")
        ticket = next(self._ids)
        request = {"method": f"RPCServer.{method}", "params": [params], "id": ticket}
        try:
            self._socket.settimeout(self.timeout)
            self._socket.sendall(json.dumps(request).encode())
        except OSError as error:
            raise self._gone(error) from None
        return ticket

    def finish(self, ticket: int, timeout: float | None = None) -> Any:
        """Wait for the reply of a ticket; after DelveTimeoutError one may wait for it again."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while ticket not in self._replies:
            self._receive(deadline)
        reply = self._replies.pop(ticket)
        if reply["error"] is not None:
            raise DelveError(f"Delve: {reply['error'].strip()}")
        return reply["result"]

    def call(self, method: str, timeout: float | None = None, **params: Any) -> Any:
        """Send a request and wait for its reply; running out of time closes the connection."""
        ticket = self.start(method, **params)
        try:
            return self.finish(ticket, timeout)
        except DelveTimeoutError:
            self.close(f"an earlier {method} on this connection was never answered")
            raise

    def version(self, timeout: float | None = None) -> Version:
        """Return Delve's version, whatever the program does."""
        raw = self.call("GetVersion", timeout)
        delve = raw["DelveVersion"].splitlines()[0].removeprefix("Version: ")
        return Version(delve, raw["MinSupportedVersionOfGo"], raw["MaxSupportedVersionOfGo"])

    def state(self) -> State:
        """Return what the program does, without disturbing it."""
        try:
            raw = self.call("State", NonBlocking=True)["State"]
        except DelveError as error:
            if match := _EXITED.search(error.message):
                return State(exit_status=int(match[1]))
            raise
        if raw["exited"]:
            return State(exit_status=raw["exitStatus"])
        return State(running=True) if raw["Running"] else State(stop=_stop(raw))

    def halt(self, timeout: float = 3.0) -> Stop:
        """Hold the program, unless it is held already, and return where."""
        state = self.state()
        if state.stop is not None:
            # Delve halts by SIGTRAP; one that nothing waits for would kill the program at detach.
            return state.stop
        raw = self.call("Command", timeout, name="halt")["State"]
        if raw["exited"]:
            raise _ended(raw["exitStatus"])
        return _stop(raw)

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
            raise _ended(state.exit_status)
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
        return tuple(_breakpoint(item) for item in raw if item["id"] > 0)

    def break_at(
        self, *, function: str = "", file: str | Path = "", line: int = 0, condition: str = ""
    ) -> Breakpoint:
        """Set a breakpoint at the exact name of a function, or at a line of a source file."""
        place = {"functionName": function} if function else {"file": str(file), "line": line}
        raw = self._call_held("CreateBreakpoint", Breakpoint={**place, "Cond": condition})
        return _breakpoint(raw["Breakpoint"])

    def clear(self, number: int) -> None:
        """Remove the breakpoint with this id."""
        self._call_held("ClearBreakpoint", Id=number)

    def clear_all(self) -> None:
        """Remove every breakpoint a user set."""
        for item in self.breakpoints():
            self.clear(item.id)

    def stack(self, depth: int = 50) -> tuple[Frame, ...]:
        """Return the current goroutine's calls, innermost first."""
        raw = self._call_held("Stacktrace", Id=-1, Depth=depth - 1, Full=False)["Locations"]
        return tuple(_frame(item) for item in raw)

    def arguments(self, frame: int = 0) -> tuple[Variable, ...]:
        """Return the arguments of a call on the stack, without its results."""
        return self._variables("ListFunctionArgs", "Args", frame)

    def locals(self, frame: int = 0) -> tuple[Variable, ...]:
        """Return the local variables of a call on the stack."""
        return self._variables("ListLocalVars", "Variables", frame)

    def functions(self, pattern: str = "") -> tuple[str, ...]:
        """Return the full names of the functions that a regular expression finds."""
        return tuple(self._call_held("ListFunctions", Filter=pattern)["Funcs"])

    def sources(self, pattern: str = "") -> tuple[str, ...]:
        """Return the paths of the source files that a regular expression finds."""
        return tuple(self._call_held("ListSources", Filter=pattern)["Sources"])

    def detach(self, kill: bool = False) -> None:
        """Let go of a held program, which ends Delve; one that Delve started is killed anyway."""
        self._call_held("Detach", Kill=kill)
        self.close("this Delve was detached")

    def _call_held(self, method: str, **params: Any) -> Any:
        """Call what would have to wait as long as the program runs, unless it runs."""
        if self.state().running:
            raise DelveError(f"{method} is not possible while the program runs", "halt it first")
        return self.call(method, **params)

    def _variables(self, method: str, key: str, frame: int) -> tuple[Variable, ...]:
        scope = {"GoroutineID": -1, "Frame": frame}
        raw = self._call_held(method, Scope=scope, Cfg=_LOAD)[key] or ()
        shown = (item for item in raw if not item["flags"] & _RESULT)
        return tuple(Variable(item["name"], item["type"], _value(item)) for item in shown)

    def _until(self, condition: Callable[[State], bool], timeout: float) -> State:
        deadline = time.monotonic() + timeout
        while not condition(state := self.state()):
            if time.monotonic() > deadline:
                does = "still runs" if state.running else "still does not run"
                raise DelveTimeoutError(f"the program {does} after {timeout:g} s")
            time.sleep(_POLL)
        return state

    def _receive(self, deadline: float) -> None:
        """Take in what Delve sends next; Go ends every JSON value with a newline."""
        chunks = [self._partial]
        try:
            while b"\n" not in chunks[-1]:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                chunks.append(self._socket.recv(1 << 20))
                if not chunks[-1]:
                    raise self._gone("it closed the connection")
        except TimeoutError:
            raise DelveTimeoutError(f"Delve at {self.address} did not answer in time") from None
        except OSError as error:
            raise self._gone(error) from None
        finally:
            *lines, self._partial = b"".join(chunks).split(b"\n")
        try:
            for reply in map(json.loads, lines):
                self._replies[reply["id"]] = reply
        except (ValueError, KeyError, TypeError):
            raise self._gone("what answers there is not Delve") from None

    def _gone(self, why: object) -> DelveError:
        self.close(f"Delve at {self.address} is gone: {why}")
        return DelveError(self._closed)


def wait_ready(
    address: str,
    deadline_seconds: float,
    alive: Callable[[], bool],
    said: Callable[[], str] = str,
) -> Delve:
    """Wait until Delve answers a request, and return the connection that it answered on.

    Delve listens long before it has read the program, so that only an answer proves anything.
    `alive` tells whether its process exists, `said` what it printed, for the error.
    """
    deadline = time.monotonic() + deadline_seconds
    why = ""
    while alive() and time.monotonic() < deadline:
        try:
            if delve := _answering(address, lambda: alive() and time.monotonic() < deadline):
                return delve
        except DelveError as error:
            why = error.message
        time.sleep(_POLL)
    words = said().strip() or why
    if alive():
        raise DelveTimeoutError(f"Delve was not ready within {deadline_seconds:g} s", words)
    raise DelveError(f"Delve ended before it was ready: {words}")


def _answering(address: str, hopeful: Callable[[], bool]) -> Delve | None:
    """Connect and return the connection once it has answered, None when there is no hope left."""
    delve = Delve(address)
    try:
        ticket = delve.start("GetVersion")
        while hopeful():
            with suppress(DelveTimeoutError):
                delve.finish(ticket, 5 * _POLL)
                return delve
    except DelveError:
        delve.close()
        raise
    delve.close()
    return None


def attach_argv(
    dlv: Path, pid: int, *, listen: str, log: Path, check_go_version: bool = True
) -> list[str]:
    """Return the command that attaches Delve to a process, which goes on as soon as it can."""
    return [str(dlv), "attach", str(pid), *_server(listen, log, check_go_version), "--continue"]


def exec_argv(
    dlv: Path,
    binary: Path,
    args: Sequence[str],
    *,
    listen: str,
    log: Path,
    cwd: Path,
    stop_at_entry: bool = False,
    check_go_version: bool = True,
) -> list[str]:
    """Return the command that starts a binary under Delve, held before main() or running.

    The program takes over Delve's output, so `log` is for Delve's own words; --redirect would
    truncate the program's log.
    """
    flags = [*_server(listen, log, check_go_version), f"--wd={cwd}"]
    if not stop_at_entry:
        flags.append("--continue")
    return [str(dlv), "exec", str(binary.absolute()), *flags, "--", *args]


def _server(listen: str, log: Path, check_go_version: bool) -> list[str]:
    flags = [
        "--headless",
        f"--listen={listen}",
        "--api-version=2",
        "--accept-multiclient",
        f"--log-dest={log}",
    ]
    return flags if check_go_version else [*flags, "--check-go-version=false"]


def clients(port: int) -> int:
    """Count the connections to a loopback port: editors, terminals and our own; see proc(5)."""
    rows: list[str] = []
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            rows += Path("/proc/net", table).read_text().splitlines()[1:]
    words = [row.split() for row in rows]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in words)


def paused(pid: int) -> bool:
    """Tell whether a debugger holds the process, from the state of its main thread; see proc(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] == "t"


def tracer(pid: int) -> int:
    """Return the pid of the process that debugs another, 0 when none does; see proc(5).

    TracerPid names the very thread that attached, in Delve seldom the main one.
    """
    try:
        thread = _status(pid, "TracerPid")
        return _status(thread, "Tgid") if thread else 0
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _status(pid: int, key: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def _ended(status: int | None) -> DelveError:
    return DelveError(f"the program ended with exit status {status}")


def _breakpoint(raw: dict[str, Any]) -> Breakpoint:
    return Breakpoint(
        id=raw["id"],
        function=raw.get("functionName", ""),
        file=raw["file"],
        line=raw["line"],
        condition=raw["Cond"],
        hits=raw["totalHitCount"],
    )


def _frame(raw: dict[str, Any]) -> Frame:
    function = raw.get("function") or {"name": "", "optimized": False}  # none in C
    return Frame(function["name"], raw["file"], raw["line"], function["optimized"])


def _stop(raw: dict[str, Any]) -> Stop:
    thread = raw["currentThread"]
    mark = thread.get("breakPoint")
    at = _frame(thread)
    return Stop(
        breakpoint=_breakpoint(mark) if mark and mark["id"] > 0 else None,
        goroutine=(raw.get("currentGoroutine") or {}).get("id"),
        file=at.file,
        line=at.line,
        function=at.function,
    )


def _value(raw: dict[str, Any]) -> str:
    """Write a variable as Go's source would, `...` for what Delve was not asked to load."""
    kind, children = raw["kind"], raw["children"]
    if raw["unreadable"]:
        return f"({raw['unreadable']})"
    if kind == _STRING:
        whole = len(raw["value"].encode()) >= raw["len"]
        return json.dumps(raw["value"], ensure_ascii=False) + ("" if whole else "...")
    if kind in (_POINTER, _INTERFACE):
        pointee = children[0] if children else None
        if pointee is None or (not pointee["addr"] and not pointee["kind"]):
            return "nil"
        return ("&" if kind == _POINTER else "") + _value(pointee)
    values = [_value(child) for child in children]
    missing = raw["len"] > (len(values) // 2 if kind == _MAP else len(values))
    more = ["..."] if missing else []
    if kind == _STRUCT:
        inside = [
            f"{child['name']}: {value}" for child, value in zip(children, values, strict=True)
        ]
        return f"{raw['type'].rpartition('/')[2]}{{{', '.join(inside + more)}}}"
    if kind == _MAP:
        pairs = [f"{key}: {value}" for key, value in zip(values[::2], values[1::2], strict=True)]
        return f"{{{', '.join(pairs + more)}}}"
    if kind in _LISTS:
        return f"[{', '.join(values + more)}]"
    return str(raw["value"] or ("nil" if kind == _FUNC else raw["type"]))
