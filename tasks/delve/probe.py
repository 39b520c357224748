"""Probe and Answer: options and result of `doit break`, a breakpoint in a running component."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Self

from tasks.core.errors import Failure
from tasks.delve.types import Hit


@dataclass(frozen=True)
class Probe:
    """Options of a probe."""

    at: str
    """Location: a function, the end of its name, or file.go:LINE."""
    run: tuple[str, ...] = ()
    """Argv of a command that makes the component reach the location; empty for none."""
    condition: str = ""
    """Go expression; only hits for which it is true count."""
    hits: int = 1
    """Number of hits to wait for."""
    timeout: float = 60.0
    """Seconds to wait for the hits, and then for the command to exit."""
    depth: int = 12
    """Number of stack frames to read."""

    @classmethod
    def parse(
        cls, at: str, run: str, condition: str, *, hits: int, timeout: float, depth: int
    ) -> Self:
        """Return the probe for command-line options. Raises Failure, which names a wrong option."""
        if not at:
            raise Failure("--at is missing", "name a function or a line, as in --at server.go:120")
        for name, value in (("hits", hits), ("timeout", timeout), ("depth", depth)):
            if not value > 0:
                raise Failure(f"--{name} is {value}", "use a number above 0")
        try:
            return cls(at, tuple(shlex.split(run)), condition, hits, timeout, depth)
        except ValueError as error:
            raise Failure(f"--run {run}: {error}", "use shell quoting") from None


@dataclass(frozen=True)
class Answer:
    """Result of a probe; the JSON document of --output json has the same keys."""

    component: str
    question: Probe
    place: str
    """Location of the breakpoint: the full function name, or path:LINE."""
    hits: tuple[Hit, ...]
    held: str
    """Where another client of Delve has paused the program; empty if none has."""
    code: int | None
    """Exit code of the command; None if there is no command or it did not exit by itself."""
    output: str
    """Output of the command."""

    @property
    def complete(self) -> bool:
        """Whether the location was reached as often as requested."""
        return len(self.hits) >= self.question.hits

    def failure(self) -> Failure | None:
        """Return the failure of the command or of the probe, None if both succeeded."""
        probe, command = self.question, shlex.join(self.question.run)
        if self.code:
            return Failure(f"{command} exited with {self.code}", "read its output")
        if not self.complete:
            partly = f"reached only {len(self.hits)} of {probe.hits} times"
            reached = partly if self.hits else "not reached"
            hint = "use a longer --timeout, trigger it with --run, or set --at to a caller"
            if self.held:
                hint = f"{self.component} is paused at {self.held}: resume it in its debugger"
            return Failure(f"{self.place} was {reached} within {probe.timeout:g} s", hint)
        if probe.run and self.code is None:
            message = f"{command} did not exit within {probe.timeout:g} s"
            return Failure(message, "use a longer --timeout")
        return None
