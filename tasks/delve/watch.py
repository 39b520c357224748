"""One breakpoint of our own in a program that others may be debugging, too.

A program that stands at somebody else's breakpoint, or that somebody halted, is theirs to let run.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tasks.delve import places
from tasks.delve.client import POLL, Delve
from tasks.delve.connection import DelveError, DelveTimeoutError
from tasks.delve.places import Place
from tasks.delve.values import Hit, Stop

NAME = "stepkube"
"""The name by which our breakpoint is found again, even one that a killed run left behind."""


@contextmanager
def watching(address: str, words: str, condition: str = "") -> Iterator[Watch]:
    """Have a breakpoint for the block, and leave the program as it was found, come what may."""
    watch = Watch(address, condition)
    try:
        watch.begin(words)
        yield watch
    finally:
        watch.end()


class Watch:
    """The breakpoint, and the connection on which its hits are awaited."""

    def __init__(self, address: str, condition: str) -> None:
        self.place = Place()
        self._client = Delve(address)
        self._condition = condition
        self._number = 0
        self._ours = False  # it is for us to let the program run on

    def begin(self, words: str) -> None:
        """Set the breakpoint. Raises Failure when there is no such place or more than one."""
        client = self._client
        self._hold(client)
        place = self.place = places.find(client, words)
        try:
            mark = client.break_at(
                function=place.function,
                file=place.file,
                line=place.line,
                condition=self._condition,
                name=NAME,
            )
        except DelveError as error:
            taken = "Breakpoint exists" in error.message
            hint = "clear the other one, or name the next line" if taken else ""
            raise DelveError(f"no breakpoint at {place}: {error.message}", hint) from None
        self._number = mark.id
        with suppress(DelveError):  # a condition that makes no sense stops it at once: see hits()
            self._let_go(client)

    def hits(self, depth: int, hopeful: Callable[[], bool]) -> Iterator[Hit]:
        """Yield each hit, letting the program run on, as long as there is hope for more."""
        start, numbers, seen = time.monotonic(), itertools.count(1), None
        while hopeful():
            stop = self.stop()
            if stop is None or stop == seen:
                time.sleep(POLL)
                continue
            seen, seconds = stop, round(time.monotonic() - start, 3)
            ours = [goroutine for number, goroutine in stop.reached if number == self._number]
            hits = [self._read(next(numbers), seconds, one, depth) for one in ours]
            if ours and len(ours) == len(stop.reached):
                with suppress(DelveError):
                    self._client.resume()
            yield from hits

    def stop(self) -> Stop | None:
        """Return where the program is held, None while it runs."""
        state = self._client.state()
        if state.exit_status is not None:
            raise DelveError(f"the program ended with exit status {state.exit_status}")
        return state.stop

    def held(self) -> str:
        """Say where somebody else holds the program, if somebody does."""
        stop = self.stop()
        if stop is None or any(number == self._number for number, _ in stop.reached):
            return ""
        return f"{stop.file}:{stop.line} in {stop.function}"

    def end(self) -> None:
        """Remove the breakpoint; the program runs on, unless somebody else holds it.

        Whatever interrupted us may have garbled our connection, so a fresh one is taken.
        """
        self._client.close()
        try:
            client = Delve(self._client.address)
        except DelveError:
            return  # Delve is gone, and what it left is for `undebug` to heal
        with client:
            if client.state().exit_status is None:
                self._hold(client)
                self._let_go(client)

    def _hold(self, client: Delve) -> None:
        """Hold the program, remove our breakpoints, and find out whose it is to let it run."""
        self._ours = self._ours or client.state().running
        try:
            stop, marks = client.halt(), client.breakpoints()
        except DelveError as error:
            # Delve does not halt for us, or goes on at once, as long as such an editor is there.
            if not isinstance(error, DelveTimeoutError) and not client.state().running:
                raise
            raise DelveError(
                "an editor that speaks DAP, such as VS Code, steers this Delve",
                "set the breakpoint in that editor, or disconnect it",
            ) from None
        own = {mark.id for mark in marks if mark.name == NAME}
        reached = {number for number, _ in stop.reached}
        if reached:
            self._ours = reached <= own
        for number in own:
            client.clear(number)

    def _let_go(self, client: Delve) -> None:
        if self._ours:
            client.resume()
        self._ours = False

    def _read(self, number: int, seconds: float, goroutine: int, depth: int) -> Hit:
        client, scope = self._client, goroutine or -1  # 0: a thread of the runtime's own
        if self._condition:
            try:
                client.evaluate(self._condition, scope)
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
