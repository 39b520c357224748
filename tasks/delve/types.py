"""What Delve tells: the program's state, its breakpoints, calls and variables, in Go's words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

WIDTH = 200
# reflect.Kind
_LISTS, _FUNC, _INTERFACE, _MAP, _POINTER, _STRING, _STRUCT = (17, 23), 19, 20, 21, 22, 24, 25


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
    name: str = ""

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        """Return the breakpoint that Delve describes."""
        return cls(
            id=raw["id"],
            function=raw.get("functionName", ""),
            file=raw["file"],
            line=raw["line"],
            condition=raw["Cond"],
            hits=raw["totalHitCount"],
            name=raw.get("name", ""),
        )


@dataclass(frozen=True)
class Variable:
    """A variable, its value written as in Go's source and shortened."""

    name: str
    type: str
    value: str

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        """Return the variable that Delve describes."""
        return cls(raw["name"], raw["type"], text(raw))


@dataclass(frozen=True)
class Frame:
    """One call of a stack; when it is `optimized` its variables may be missing."""

    function: str
    file: str
    line: int
    optimized: bool

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        """Return the call that Delve describes."""
        function = raw.get("function") or {"name": "", "optimized": False}  # none in C
        return cls(function["name"], raw["file"], raw["line"], function["optimized"])


@dataclass(frozen=True)
class Stop:
    """Where a program is held; without a breakpoint it was halted by hand or by Delve itself.

    Several threads may reach breakpoints at the same moment: `reached` has the breakpoint and the
    goroutine of each of them.
    """

    breakpoint: Breakpoint | None
    goroutine: int | None
    file: str
    line: int
    function: str
    arguments: tuple[Variable, ...] = ()
    reached: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        """Return where the program is, of which Delve describes the state."""
        thread = raw["currentThread"]
        mark = thread.get("breakPoint")
        at = Frame.of(thread)
        marked = (one for one in raw["Threads"] or () if one.get("breakPoint"))
        pairs = ((one["breakPoint"]["id"], one["goroutineID"]) for one in marked)
        return cls(
            breakpoint=Breakpoint.of(mark) if mark and mark["id"] > 0 else None,
            goroutine=(raw.get("currentGoroutine") or {}).get("id"),
            file=at.file,
            line=at.line,
            function=at.function,
            reached=tuple(pairs),
        )


@dataclass(frozen=True)
class State:
    """What a program does: it runs, is held at `stop`, or has ended with `exit_status`."""

    running: bool = False
    stop: Stop | None = None
    exit_status: int | None = None


@dataclass(frozen=True)
class Hit:
    """One goroutine that reached a breakpoint: when, with which variables, called by whom."""

    number: int
    seconds: float
    goroutine: int
    function: str
    file: str
    line: int
    arguments: tuple[Variable, ...]
    locals: tuple[Variable, ...]
    stack: tuple[Frame, ...]

    def lines(self) -> list[str]:
        """Return the hit as text, its values cut to what a terminal shows well."""
        text = [
            f"hit {self.number} after {self.seconds:.1f} s in goroutine {self.goroutine}",
            f"  {self.function} at {self.file}:{self.line}",
        ]
        for title, variables in (("arguments", self.arguments), ("locals", self.locals)):
            if variables:
                rows = [f"{one.name} {one.type} = {one.value}" for one in variables]
                cut = [row if len(row) <= WIDTH else f"{row[:WIDTH]}..." for row in rows]
                text += [f"  {title}", *(f"    {row}" for row in cut)]
        calls = [f"    {one.function} at {one.file}:{one.line}" for one in self.stack]
        return [*text, "  stack", *calls]


def text(raw: dict[str, Any]) -> str:
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
        return ("&" if kind == _POINTER else "") + text(pointee)
    values = [text(child) for child in children]
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
