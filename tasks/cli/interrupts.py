"""Signals that end a run: one line and an exit code, instead of a traceback."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from tasks.core import doit_run


def install() -> None:
    """Exit with 128 and the number of the signal when SIGINT or SIGTERM arrives."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)


def exit_quietly() -> None:
    """Exit without a message when Ctrl-C stops a task that only shows something."""
    signal.signal(signal.SIGINT, lambda number, _: sys.exit(128 + number))


def _exit(number: int, _: object) -> None:
    if not doit_run.current().stops_cluster:  # then the clean-up says what it does
        name = signal.Signals(number).name
        text = f"\ninterrupted by {name}: finished steps are kept, run the command again\n"
        with suppress(OSError):  # the stream may be in use by what the signal interrupted
            os.write(2, text.encode())
    sys.exit(128 + number)
