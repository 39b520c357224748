"""ENABLE_DAEMON=false: wait, report components that exit, stop the cluster on exit.

The clean-up runs when this process exits, like upstream's trap. So it also stops everything after a
start that failed or was interrupted.
"""

from __future__ import annotations

import atexit
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.core import console, doit_run
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files, process
from tasks.system.process import Record

POLL_INTERVAL = 1.0
"""Seconds between two checks of the processes, like upstream; one check takes well under 1 ms."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stays_in_foreground(settings: Settings) -> bool:
    """Return whether this run stays in the foreground: `doit up` with ENABLE_DAEMON=false."""
    return not settings.start.daemon and bool(doit_run.current().selected_with_dependencies("up"))


def stop_cluster_on_exit(settings: Settings, stop: Callable[[], Sequence[str]]) -> None:
    """Call `stop` when a foreground run exits; `stop` returns the names of what it stopped."""
    if doit_run.current().stops_cluster or not stays_in_foreground(settings):
        return

    def clean_up() -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would interrupt it
        try:
            console.say("Cleaning up ...")
            stopped = stop()
            console.say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
        except (Failure, OSError) as error:
            console.say(f"error: {error}")

    doit_run.current().stops_cluster = True
    atexit.register(clean_up)
    signal.signal(signal.SIGHUP, _exit_on_hangup)


def watch(settings: Settings, names: Sequence[str]) -> None:
    """Report components that exit, until a signal arrives or every component was stopped.

    A component that another process restarts, for example for a debug swap, is still watched.
    """
    records = {name: process.load(settings.paths.run, name) for name in names}
    watched = {name: record for name, record in records.items() if record is not None}
    exited: set[str] = set()
    while watched:
        time.sleep(POLL_INTERVAL)
        for name, record in list(watched.items()):
            if name in exited:
                current = process.load(settings.paths.run, name)
                if current is None or not current.alive():
                    continue
                exited.discard(name)
            elif record.alive():
                continue
            else:
                current = _unlocked_record(settings, record)
            if current is None:
                console.say(f"{name} was stopped")
                del watched[name]
            elif current.alive():
                console.say(f"{name} runs again, as pid {current.identity.pid}")
                watched[name] = current
            else:
                _report_exit(current)
                exited.add(name)


def _unlocked_record(settings: Settings, record: Record) -> Record | None:
    """Return the component's current record, after any running start, stop or swap of it."""
    with files.locked(settings.paths.run / f"{record.component}.lock"):
        return process.load(settings.paths.run, record.component)


def _report_exit(record: Record) -> None:
    log = Path(record.log)
    console.warn(
        f"{record.component} (pid {record.identity.pid}) terminated unexpectedly, see {log}\n"
        f"{process.tail(log)}\n  the other components keep running; to start it again, run:"
        f" doit start:{record.component}"
    )


def _exit_on_hangup(number: int, _: object) -> None:
    """Exit when the terminal is closed; output goes to /dev/null from now on."""
    console.redirect_to_devnull(1, 2)
    sys.exit(128 + number)
