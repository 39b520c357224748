"""Tracepoint: a breakpoint that reports its hits, in a program that others may also debug.

If another client halted the program, or the program is paused at a breakpoint of another client,
only that client resumes it.
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
"""Name of the breakpoint in Delve; it also identifies the breakpoint of a killed run."""
PAUSE_TIMEOUT = 3.0
"""Seconds to try again while other clients resume the program."""


@contextmanager
def set_tracepoint(address: str, location: str, condition: str = "") -> Iterator[Tracepoint]:
    """Set a tracepoint for the block; always restore the state of the program afterwards."""
    tracepoint = Tracepoint(address, condition)
    try:
        tracepoint.set(location)
        yield tracepoint
    finally:
        tracepoint.remove()


class Tracepoint:
    """A breakpoint and the connection that waits for its hits."""

    def __init__(self, address: str, condition: str) -> None:
        self.place = Location()
        self._client = Delve(address)
        self._condition = condition
        self._number = 0
        self._must_resume = False  # not another client: this one resumes the program

    def set(self, location: str) -> None:
        """Set the breakpoint. Raises Failure if not exactly one location matches."""
        self._while_paused(lambda client: self._set(client, location))

    def remove(self) -> None:
        """Remove the breakpoint and resume the program, unless another client has paused it."""
        self._client.close()
        try:
            with Delve(self._client.address) as client:
                _stop(client)
        except DelveError:
            return  # the program or Delve has exited; `undebug` cleans up
        self._while_paused()

    def hits(self, count: int, depth: int, keep_waiting: Callable[[], bool]) -> Iterator[Hit]:
        """Yield up to `count` hits while `keep_waiting` is true; resume the program in between.

        The program stays paused at the last hit, so that `remove` needs no further halt.
        """
        start, number, previous = time.monotonic(), 0, None
        while number < count and keep_waiting():
            stop = self.stop()
            if stop is None or stop == previous:
                time.sleep(POLL)
                continue
            previous, seconds = stop, round(time.monotonic() - start, 3)
            ours = [goroutine for point, goroutine in stop.reached if point == self._number]
            hits: list[Hit] = []
            with suppress(DelveRunningError):  # another client has resumed it already
                for goroutine in ours[: count - number]:
                    hits.append(self._read(number + len(hits) + 1, seconds, goroutine, depth))
            number += len(hits)
            if hits and number < count and len(ours) == len(stop.reached):
                self._resume(self._client)
            yield from hits

    def stop(self) -> Stop | None:
        """Return where the program is paused, None while it runs."""
        return _stop(self._client)

    def foreign_stop(self) -> str:
        """Return where another client has paused the program; empty if none has."""
        stop = self.stop()
        if stop is None or any(point == self._number for point, _ in stop.reached):
            return ""
        return f"{stop.file}:{stop.line} in {stop.function}"

    def _while_paused(self, step: Callable[[Delve], None] | None = None) -> None:
        """Pause the program, remove our breakpoints and run `step`; retry if the program resumes.

        Each attempt uses a new connection: an interrupted call may leave the previous connection
        in the middle of a reply.
        """
        deadline = time.monotonic() + PAUSE_TIMEOUT
        while True:
            try:
                with Delve(self._client.address) as client:
                    self._pause(client)
                    if step is not None:
                        step(client)
                    if self._must_resume:
                        self._resume(client)
                        self._must_resume = False
                return
            except DelveRunningError:
                if time.monotonic() > deadline:
                    raise _controlled_by_dap() from None
            except DelveTimeoutError:
                raise _controlled_by_dap() from None

    def _pause(self, client: Delve) -> None:
        """Pause the program, remove our breakpoints, and decide which client must resume it."""
        stop = _stop(client)
        if stop is None:
            self._must_resume = True
            stop = client.halt()
        ours = {point.id for point in client.breakpoints() if point.name == NAME}
        reached = {number for number, _ in stop.reached}
        if reached:
            self._must_resume = reached <= ours
        for number in ours:
            client.clear(number)

    def _set(self, client: Delve, location: str) -> None:
        place = self.place = locations.locate(client, location)
        try:
            point = client.break_at(
                function=place.function,
                file=place.file,
                line=place.line,
                condition=self._condition,
                name=NAME,
            )
        except (DelveRunningError, DelveTimeoutError):
            raise
        except DelveError as error:
            exists = "Breakpoint exists" in error.message
            hint = "clear the other breakpoint, or use the next line" if exists else ""
            raise DelveError(f"no breakpoint at {place}: {error.message}", hint) from None
        self._number = point.id

    def _resume(self, client: Delve) -> None:
        with suppress(DelveError):  # an invalid condition pauses it at once, see _read
            client.resume()

    def _read(self, number: int, seconds: float, goroutine: int, depth: int) -> Hit:
        client, scope = self._client, goroutine or -1  # 0: a thread of the Go runtime
        if self._condition:
            try:
                client.evaluate(self._condition, scope)
            except DelveRunningError:
                raise
            except DelveError as error:
                text = f"the condition {self._condition} cannot be evaluated: {error.message}"
                raise DelveError(text, "use names that are visible at that location") from None
        stack = client.stack(depth, scope)
        top = stack[0]
        return Hit(
            number=number,
            seconds=seconds,
            goroutine=goroutine,
            function=top.function,
            file=top.file,
            line=top.line,
            arguments=client.arguments(goroutine=scope),
            locals=client.locals(goroutine=scope),
            stack=stack,
        )


def _stop(client: Delve) -> Stop | None:
    state = client.state()
    if state.exit_status is not None:
        raise DelveError(f"the program exited with status {state.exit_status}")
    return state.stop


def _controlled_by_dap() -> DelveError:
    """Return the error for a Delve that does not pause its program, or resumes it at once."""
    return DelveError(
        "an editor that uses DAP, such as VS Code, controls this Delve",
        "set the breakpoint in that editor, or disconnect it",
    )
