"""Console output: lines, warnings, progress, and the notes of a task. Only this module prints."""

from __future__ import annotations

import os
import sys
import time
from typing import IO

from tasks.core import doit_run
from tasks.core.redact import mask


def say(text: str = "", *, stream: IO[str] | None = None) -> None:
    """Print one line and flush it; passwords in URLs are masked."""
    out = stream or sys.stdout
    try:
        _clear(out)
        out.write(mask(text) + "\n")
        out.flush()
    except BrokenPipeError:
        redirect_to_devnull(out.fileno())


def redraw(text: str) -> None:
    """Print a text in the place of everything on the screen of the terminal."""
    say(f"\x1b[H\x1b[2J{text}")


def confirm(question: str) -> bool:
    """Ask on the terminal; return whether the user answers yes. False if stdin is no terminal."""
    if not sys.stdin.isatty():
        return False
    say(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def redirect_to_devnull(*descriptors: int) -> None:
    """Send file descriptors to /dev/null.

    Used when the reader of the output is closed, as after `| head`: the task continues.
    """
    devnull = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(devnull, descriptor)
    os.close(devnull)


def reserve_stdout() -> None:
    """Reserve stdout for `say_document`: from now on, all other output goes to stderr."""
    sys.stdout.flush()
    doit_run.current().document = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def say_document(text: str) -> None:
    """Print the one document for which stdout is reserved."""
    say(text, stream=doit_run.current().document)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    say(f"warning: {text}", stream=sys.stderr)


def note(text: str) -> None:
    """Add a note to the line that the reporter prints when the current task finishes."""
    doit_run.current().notes.append(text)


def progress(text: str) -> None:
    """Print a line that the next line overwrites; print nothing if stdout is not a terminal."""
    if live(sys.stdout):
        sys.stdout.write(f"\r\x1b[K  {mask(text)[: _width() - 3]}")
        sys.stdout.flush()


class Heartbeat:
    """Progress of a long task: a live line on a terminal, else a line every `interval` seconds."""

    def __init__(self, interval: float = 20.0) -> None:
        self._start = time.monotonic()
        self._last = self._start
        self._interval = interval

    def beat(self, text: str) -> None:
        """Print the progress and the elapsed seconds; cheap enough to call on every output line."""
        now = time.monotonic()
        line = f"{text}, {now - self._start:.0f} s"
        if live(sys.stdout):
            progress(line)
        elif now - self._last >= self._interval:
            self._last = now
            say(f"  ... {line}")


def live(out: IO[str]) -> bool:
    """Return whether a stream is a terminal on which a line can be overwritten.

    False for TERM=dumb and if CI is set.
    """
    return out.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def duration(seconds: float) -> str:
    """Return a number of seconds as text: 0m07s, 1h02m."""
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
