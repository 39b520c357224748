"""One breakpoint of our own in a program that others may be debugging, too.

A program that stands at somebody else's breakpoint, or that somebody halted, is theirs to let run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tasks.delve import locations
from tasks.delve.client import POLL, Delve
from tasks.delve.connection import DelveError, DelveRunningError, DelveTimeoutError
from tasks.delve.locations import Location
from tasks.delve.types import Hit, Stop

NAME = "stepkube"
"""The name by which our breakpoint is found again, even one that a killed run left behind."""
PATIENCE = 3.0
"""Seconds in which others may let the program run again while we need it held."""


@contextmanager
def set_tracepoint(address: str, words: str, condition: str = "") -> Iterator[Tracepoint]:
    """Have a breakpoint for the block, and leave the program as it was found, come what may."""
    watch = Tracepoint(address, condition)
    try:
        watch.begin(words)
        yield watch
    finally:
        watch.end()


class Tracepoint:
    """The breakpoint, and the connection on which its hits are awaited."""

    def __init__(self, address: str, condition: str) -> None:
        self.place = Location()
        self._client = Delve(address)
        self._condition = condition
        self._number = 0
        self._ours = False  # it is for us to let the program run on

    def begin(self, words: str) -> None:
        """Set the breakpoint. Raises Failure when there is no such place or more than one."""
        self._while_held(lambda client: self._set(client, words))

    def end(self) -> None:
        """Remove the breakpoint; the program runs on, unless somebody else holds it."""
        self._client.close()
        try:
            with Delve(self._client.address) as client:
                _stop(client)
        except DelveError:
            return  # the program has ended, or Delve is gone: `undebug` heals what is left
        self._while_held()

    def hits(self, count: int, depth: int, hopeful: Callable[[], bool]) -> Iterator[Hit]:
        """Yield up to `count` hits as long as there is hope, and let the program run in between.

        It stands at the last one until the end, where it can be let go without another halt.
        """
        start, number, seen = time.monotonic(), 0, None
        while number < count and hopeful():
            stop = self.stop()
            if stop is None or stop == seen:
                time.sleep(POLL)
                continue
            seen, seconds = stop, round(time.monotonic() - start, 3)
            ours = [goroutine for mark, goroutine in stop.reached if mark == self._number]
            hits: list[Hit] = []
            with suppress(DelveRunningError):  # somebody else was faster to let it run
                for goroutine in ours[: count - number]:
                    hits.append(self._read(number + len(hits) + 1, seconds, goroutine, depth))
            number += len(hits)
            if hits and number < count and len(ours) == len(stop.reached):
                self._resume(self._client)
            yield from hits

    def stop(self) -> Stop | None:
        """Return where the program is held, None while it runs."""
        return _stop(self._client)

    def held(self) -> str:
        """Say where somebody else holds the program, if somebody does."""
        stop = self.stop()
        if stop is None or any(mark == self._number for mark, _ in stop.reached):
            return ""
        return f"{stop.file}:{stop.line} in {stop.function}"

    def _while_held(self, step: Callable[[Delve], None] | None = None) -> None:
        """Do something while the program is held and without our breakpoint; try again if need be.

        Each try has a connection of its own: what interrupted us may have garbled the one before.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with Delve(self._client.address) as client:
                    self._hold(client)
                    if step is not None:
                        step(client)
                    if self._ours:
                        self._resume(client)
                        self._ours = False
                return
            except DelveRunningError:
                if time.monotonic() > deadline:
                    raise _steered() from None
            except DelveTimeoutError:
                raise _steered() from None

    def _hold(self, client: Delve) -> None:
        """Hold the program, remove our breakpoints, and find out whose it is to let it run."""
        stop = _stop(client)
        if stop is None:
            self._ours = True
            stop = client.halt()
        own = {mark.id for mark in client.breakpoints() if mark.name == NAME}
        reached = {number for number, _ in stop.reached}
        if reached:
            self._ours = reached <= own
        for number in own:
            client.clear(number)

    def _set(self, client: Delve, words: str) -> None:
        place = self.place = locations.locate(client, words)
        try:
            mark = client.break_at(
                function=place.function,
                file=place.file,
                line=place.line,
                condition=self._condition,
                name=NAME,
            )
        except (DelveRunningError, DelveTimeoutError):
            raise
        except DelveError as error:
            taken = "Breakpoint exists" in error.message
            hint = "clear the other one, or name the next line" if taken else ""
            raise DelveError(f"no breakpoint at {place}: {error.message}", hint) from None
        self._number = mark.id

    def _resume(self, client: Delve) -> None:
        with suppress(DelveError):  # a condition that makes no sense stops it at once: see _read
            client.resume()

    def _read(self, number: int, seconds: float, goroutine: int, depth: int) -> Hit:
        client, scope = self._client, goroutine or -1  # 0: a thread of the runtime's own
        if self._condition:
            try:
                client.evaluate(self._condition, scope)
            except DelveRunningError:
                raise
            except DelveError as error:
                text = f"the condition {self._condition} cannot be evaluated: {error.message}"
                raise DelveError(text, "use names that are visible at that place") from None
        stack = client.stack(depth, scope)
        at = stack[0]
        return Hit(
            number=number,
            seconds=seconds,
            goroutine=goroutine,
            function=at.function,
            file=at.file,
            line=at.line,
            arguments=client.arguments(goroutine=scope),
            locals=client.locals(goroutine=scope),
            stack=stack,
        )


def _stop(client: Delve) -> Stop | None:
    state = client.state()
    if state.exit_status is not None:
        raise DelveError(f"the program ended with exit status {state.exit_status}")
    return state.stop


def _steered() -> DelveError:
    """Return the error for a Delve that does not hold its program for us, or not for long."""
    return DelveError(
        "an editor that speaks DAP, such as VS Code, steers this Delve",
        "set the breakpoint in that editor, or disconnect it",
    )
