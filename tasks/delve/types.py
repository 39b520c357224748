"""Types of Delve's replies: state, breakpoints, stack frames and variables of the program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

MAX_WIDTH = 200
"""Characters of a variable that text output shows."""
OPTIONS = (
    *("HitCond", "HitCondPerG", "continue", "traceReturn", "goroutine", "stacktrace", "variables"),
    *("LoadArgs", "LoadLocals", "customCommands", "RootFuncName", "TraceFollowCalls", "disabled"),
)
"""Keys of api.Breakpoint: hit count condition, kind (`continue` is a tracepoint), what a hit
prints, and whether it is disabled."""
# values of Go's reflect.Kind
_LISTS, _FUNC, _INTERFACE, _MAP, _POINTER, _STRING, _STRUCT = (17, 23), 19, 20, 21, 22, 24, 25


@dataclass(frozen=True)
class Breakpoint:
    """A breakpoint of a user; Delve keeps it after the client that set it has disconnected."""

    id: int
    function: str
    file: str
    line: int
    condition: str
    hits: int
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else its user asked for, with the keys of api.Breakpoint: see OPTIONS."""
    watches: str = ""
    """Expression of a watchpoint, which stops at a write or read of a variable."""

    @classmethod
    def from_delve(cls, raw: dict[str, Any]) -> Self:
        """Return the breakpoint for an api.Breakpoint of Delve."""
        return cls(
            id=raw["id"],
            function=raw.get("functionName", ""),
            file=raw["file"],
            line=raw["line"],
            condition=raw["Cond"],
            hits=raw["totalHitCount"],
            name=raw.get("name", ""),
            options={key: raw[key] for key in OPTIONS if raw.get(key)},
            watches=raw.get("WatchExpr", ""),
        )


@dataclass(frozen=True)
class Variable:
    """A variable with its value in Go syntax, shortened."""

    name: str
    type: str
    value: str

    @classmethod
    def from_delve(cls, raw: dict[str, Any]) -> Self:
        """Return the variable for an api.Variable of Delve."""
        return cls(raw["name"], raw["type"], format_value(raw))


@dataclass(frozen=True)
class Frame:
    """A stack frame; if it is `optimized`, variables may be missing."""

    function: str
    file: str
    line: int
    optimized: bool

    @classmethod
    def from_delve(cls, raw: dict[str, Any]) -> Self:
        """Return the frame for an api.Location or api.Thread of Delve."""
        function = raw.get("function") or {"name": "", "optimized": False}  # C code has none
        return cls(function["name"], raw["file"], raw["line"], function["optimized"])


@dataclass(frozen=True)
class Stop:
    """Where a program is paused."""

    breakpoint: Breakpoint | None
    """None if a client or Delve itself halted the program."""
    goroutine: int | None
    file: str
    line: int
    function: str
    reached: tuple[tuple[int, int], ...] = ()
    """(breakpoint id, goroutine id) of each thread at a breakpoint; there may be several."""

    @classmethod
    def from_delve(cls, raw: dict[str, Any]) -> Self:
        """Return the stop for an api.DebuggerState of Delve."""
        thread = raw["currentThread"]
        point = thread.get("breakPoint")
        frame = Frame.from_delve(thread)
        threads = (item for item in raw["Threads"] or () if item.get("breakPoint"))
        pairs = ((item["breakPoint"]["id"], item["goroutineID"]) for item in threads)
        return cls(
            breakpoint=Breakpoint.from_delve(point) if point and point["id"] > 0 else None,
            goroutine=(raw.get("currentGoroutine") or {}).get("id"),
            file=frame.file,
            line=frame.line,
            function=frame.function,
            reached=tuple(pairs),
        )


@dataclass(frozen=True)
class State:
    """State of a program: it runs, is paused at `stop`, or has exited with `exit_status`."""

    running: bool = False
    stop: Stop | None = None
    exit_status: int | None = None


@dataclass(frozen=True)
class Hit:
    """A goroutine at a breakpoint, with its variables and stack."""

    number: int
    """1 for the first hit."""
    seconds: float
    """Time since the wait for hits began."""
    goroutine: int
    function: str
    file: str
    line: int
    arguments: tuple[Variable, ...]
    locals: tuple[Variable, ...]
    stack: tuple[Frame, ...]

    def lines(self) -> list[str]:
        """Return the hit as lines of text; long values are cut at MAX_WIDTH."""
        text = [
            f"hit {self.number} after {self.seconds:.1f} s in goroutine {self.goroutine}",
            f"  {self.function} at {self.file}:{self.line}",
        ]
        for title, variables in (("arguments", self.arguments), ("locals", self.locals)):
            if variables:
                rows = [f"{item.name} {item.type} = {item.value}" for item in variables]
                cut = [row if len(row) <= MAX_WIDTH else f"{row[:MAX_WIDTH]}..." for row in rows]
                text += [f"  {title}", *(f"    {row}" for row in cut)]
        calls = [f"    {frame.function} at {frame.file}:{frame.line}" for frame in self.stack]
        return [*text, "  stack", *calls]


def format_value(raw: dict[str, Any]) -> str:
    """Return the value of an api.Variable in Go syntax, with `...` for parts not loaded."""
    kind, children = raw["kind"], raw["children"]
    if raw["unreadable"]:
        return f"({raw['unreadable']})"
    if kind == _STRING:
        complete = len(raw["value"].encode()) >= raw["len"]
        return json.dumps(raw["value"], ensure_ascii=False) + ("" if complete else "...")
    if kind in (_POINTER, _INTERFACE):
        pointee = children[0] if children else None
        if pointee is None or (not pointee["addr"] and not pointee["kind"]):
            return "nil"
        return ("&" if kind == _POINTER else "") + format_value(pointee)
    values = [format_value(child) for child in children]
    missing = raw["len"] > (len(values) // 2 if kind == _MAP else len(values))
    more = ["..."] if missing else []
    if kind == _STRUCT:
        fields = [
            f"{child['name']}: {value}" for child, value in zip(children, values, strict=True)
        ]
        return f"{raw['type'].rpartition('/')[2]}{{{', '.join(fields + more)}}}"
    if kind == _MAP:
        pairs = [f"{key}: {value}" for key, value in zip(values[::2], values[1::2], strict=True)]
        return f"{{{', '.join(pairs + more)}}}"
    if kind in _LISTS:
        return f"[{', '.join(values + more)}]"
    return str(raw["value"] or ("nil" if kind == _FUNC else raw["type"]))
