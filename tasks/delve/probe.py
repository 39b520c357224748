"""A question to a running program, how is this place reached and with what, and its answer."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Self

from tasks.core.errors import Failure
from tasks.delve.types import Hit


@dataclass(frozen=True)
class Probe:
    """Where to stop and on which condition, how often and how long, and what leads there."""

    at: str
    run: tuple[str, ...] = ()
    condition: str = ""
    hits: int = 1
    timeout: float = 60.0
    depth: int = 12

    @classmethod
    def parse(
        cls, at: str, run: str, condition: str, *, hits: int, timeout: float, depth: int
    ) -> Self:
        """Return the question a command line asks. Raises Failure naming the option to correct."""
        if not at:
            raise Failure("--at is missing", "name a function or a line, as in --at server.go:120")
        for name, value in (("hits", hits), ("timeout", timeout), ("depth", depth)):
            if not value > 0:
                raise Failure(f"--{name} is {value}", "use a number above 0")
        try:
            return cls(at, tuple(shlex.split(run)), condition, hits, timeout, depth)
        except ValueError as error:
            raise Failure(f"--run {run}: {error}", "quote it as for a shell") from None


@dataclass(frozen=True)
class Answer:
    """What was seen: the document of --output json.

    `place` is what the words meant, `held` where somebody else holds the program; `code` is None
    when the command did not end by itself.
    """

    component: str
    question: Probe
    place: str
    hits: tuple[Hit, ...]
    held: str
    code: int | None
    output: str

    @property
    def complete(self) -> bool:
        """Whether the place was reached as often as it was to be."""
        return len(self.hits) >= self.question.hits

    def failure(self) -> Failure | None:
        """Return what went wrong, if anything did."""
        asked, command = self.question, shlex.join(self.question.run)
        if self.code:
            return Failure(f"{command} exited with {self.code}", "see what it printed")
        if not self.complete:
            some = f"reached only {len(self.hits)} of {asked.hits} times"
            seen = some if self.hits else "not reached"
            hint = "give it longer by --timeout, lead there by --run, or watch one of its callers"
            if self.held:
                hint = f"{self.component} stands at {self.held}: let it run on in its debugger"
            return Failure(f"{self.place} was {seen} within {asked.timeout:g} s", hint)
        if asked.run and self.code is None:
            return Failure(f"{command} did not end within {asked.timeout:g} s", "use --timeout")
        return None
