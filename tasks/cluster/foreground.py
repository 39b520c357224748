"""`ENABLE_DAEMON=false`: stays beside the cluster, tells what dies, and ends it all at the end.

The clean-up is bound to the end of this process, so that a start that fails or is interrupted half
way leaves nothing running either, as upstream's trap does.
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

EVERY = 1.0
"""Seconds between two looks at the processes, as upstream has it; one costs well under 1 ms."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stays_in_foreground(settings: Settings) -> bool:
    """Tell whether this run is to stay: `doit up` with ENABLE_DAEMON=false."""
    return not settings.start.daemon and bool(doit_run.current().selected_with_dependencies("up"))


def arm(settings: Settings, end: Callable[[], Sequence[str]]) -> None:
    """See to it that the cluster ends with this process; `end` returns what it ended."""
    if doit_run.current().stops_cluster or not stays_in_foreground(settings):
        return

    def clean_up() -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave half of it
        try:
            console.say("Cleaning up ...")
            ended = end()
            console.say(f"ended {', '.join(ended)}" if ended else "nothing was running")
        except (Failure, OSError) as error:
            console.say(f"error: {error}")

    doit_run.current().stops_cluster = True
    atexit.register(clean_up)
    signal.signal(signal.SIGHUP, _hang_up)


def watch(settings: Settings, names: Sequence[str]) -> None:
    """Tell which component dies, until a signal comes or nothing is left to watch.

    A component that is started again elsewhere, by a debug swap for example, is watched on.
    """
    known = {name: process.load(settings.paths.run, name) for name in names}
    alive = {name: record for name, record in known.items() if record is not None}
    dead: set[str] = set()
    while alive:
        time.sleep(EVERY)
        for name, record in list(alive.items()):
            if name in dead:
                now = process.load(settings.paths.run, name)
                if now is None or not now.alive():
                    continue
                dead.discard(name)
            elif record.alive():
                continue
            else:
                now = _after(settings, record)
            if now is None:
                console.say(f"{name} was stopped")
                del alive[name]
            elif now.alive():
                console.say(f"{name} runs again, as pid {now.identity.pid}")
                alive[name] = now
            else:
                _tell(now)
                dead.add(name)


def _after(settings: Settings, record: Record) -> Record | None:
    """Return the record of a component whose process ended, once nobody is at work on it."""
    with files.locked(settings.paths.run / f"{record.component}.lock"):
        return process.load(settings.paths.run, record.component)


def _tell(record: Record) -> None:
    log = Path(record.log)
    console.warn(
        f"{record.component} (pid {record.identity.pid}) terminated unexpectedly, see {log}\n"
        f"{process.tail(log)}\n  the others run on; doit start:{record.component} brings it back"
    )


def _hang_up(number: int, _: object) -> None:
    """Take the end of the terminal for an interrupt; there is nobody to print for any more."""
    console.redirect_to_devnull(1, 2)
    sys.exit(128 + number)
