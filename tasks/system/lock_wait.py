"""Lines that say which run has a lock, while this run waits for it."""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.system import procfs

INTERVAL = 20.0
"""Seconds between two lines of a run that waits for a lock."""


@contextmanager
def announced(descriptor: int, path: Path) -> Iterator[None]:
    """Print at once and every INTERVAL seconds, on stderr, which run the block waits for."""
    from tasks.core import console  # noqa: PLC0415 - it loads doit, which few callers need

    done, since = threading.Event(), time.monotonic()

    def announce() -> None:
        while True:
            waited = time.monotonic() - since
            names = ", ".join(holders(descriptor)) or "another run"
            text = f"  waiting for {names}, which has the lock {path}"
            console.say(text + (f", for {waited:.0f} s" if waited >= 1 else ""), stream=sys.stderr)
            if done.wait(INTERVAL):
                return

    announcer = threading.Thread(target=announce, daemon=True)
    announcer.start()
    try:
        yield
    finally:
        done.set()
        announcer.join()


def holders(descriptor: int) -> list[str]:
    """Return pid, command line and start of the processes that lock a file, see proc_locks(5)."""
    inode = os.fstat(descriptor).st_ino
    rows = (line.split() for line in procfs.read(Path("/proc/locks")).splitlines())
    pids = [int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].endswith(f":{inode}")]
    return [_describe_run(pid) for pid in dict.fromkeys(pids) if pid > 0]


def _describe_run(pid: int) -> str:
    argv, started = shlex.join(procfs.argv_of(pid))[-60:], procfs.start_time(pid)
    since = f", since {time.strftime('%H:%M:%S', time.localtime(started))}" if started else ""
    return f"pid {pid} ({argv}{since})"
