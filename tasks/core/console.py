"""The one place that prints: lines, warnings, progress, and the notes of a step."""

from __future__ import annotations

import os
import sys
import time
from typing import IO

from tasks.core import doit_run
from tasks.core.redact import mask


def say(text: str = "", *, stream: IO[str] | None = None) -> None:
    """Print one line for the user at once; a password in an address is never shown."""
    out = stream or sys.stdout
    try:
        _clear(out)
        out.write(mask(text) + "\n")
        out.flush()
    except BrokenPipeError:
        redirect_to_devnull(out.fileno())


def redirect_to_devnull(*descriptors: int) -> None:
    """Go on when nobody reads any more, as after `| head`: nothing may end half done over that."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def reserve_stdout() -> None:
    """Keep stdout for `say_document`; whatever else is printed from now on goes to stderr."""
    sys.stdout.flush()
    doit_run.current().document = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def say_document(text: str) -> None:
    """Print the document that stdout was reserved for."""
    say(text, stream=doit_run.current().document)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    say(f"warning: {text}", stream=sys.stderr)


def note(text: str) -> None:
    """Add a few words to the line that closes the current step."""
    doit_run.current().notes.append(text)


def progress(text: str) -> None:
    """Show a line that the next one overwrites; silent where there is no terminal."""
    if live(sys.stdout):
        sys.stdout.write(f"\r\x1b[K  {mask(text)[: _width() - 3]}")
        sys.stdout.flush()


class Heartbeat:
    """Progress of a long step: a live line on a terminal, a plain line every so often elsewhere."""

    def __init__(self, every: float = 20.0) -> None:
        self._start = time.monotonic()
        self._last = self._start
        self._every = every

    def beat(self, text: str) -> None:
        """Report where the step stands; cheap enough to call on every line of output."""
        now = time.monotonic()
        line = f"{text}, {now - self._start:.0f} s"
        if live(sys.stdout):
            progress(line)
        elif now - self._last >= self._every:
            self._last = now
            say(f"  ... {line}")


def live(out: IO[str]) -> bool:
    """Tell whether a stream is a terminal on which a line can be overwritten."""
    return out.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def duration(seconds: float) -> str:
    """Return a time as text: 0m07s, 1h02m."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _clear(out: IO[str]) -> None:
    if live(out):
        out.write("\r\x1b[K")


def _width() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100
