"""Processes as the kernel shows them in /proc: who one is, its arguments and environment.

A process is identified by boot, pid and start time in clock ticks, never by pid or name alone. See
proc(5).
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """One process for all time: the boot it belongs to, its pid and its start in clock ticks."""

    boot: str
    pid: int
    ticks: int

    def alive(self) -> bool:
        """Tell whether this very process exists, and any of its threads is not a zombie.

        While threads are still ending the first one may be a zombie already, yet files, sockets
        and ports are only closed with the last.
        """
        now = stat(Path(f"/proc/{self.pid}"))
        return (
            self.boot == boot_id()
            and now is not None
            and now.ticks == self.ticks
            and _lives(self.pid, now)
        )


def identify(pid: int) -> Identity | None:
    """Return the identity of a running pid, or None when there is no such process."""
    now = stat(Path(f"/proc/{pid}"))
    return Identity(boot_id(), pid, now.ticks) if now and _lives(pid, now) else None


def boot_id() -> str:
    """Return the id of this boot of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def executable(pid: int) -> str | None:
    """Return the path of a process's program, or None when it may not be read."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)")
    except OSError:
        return None


def argv_of(pid: int) -> tuple[str, ...]:
    """Return the argument list of a process, byte for byte, as /proc has it."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(word) for word in raw.split(b"\0")[:-1])


def environ_of(pid: int) -> dict[str, str]:
    """Return the environment a process was started with, as /proc has it."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(word).partition("=") for word in raw.split(b"\0") if b"=" in word)
    return {name: value for name, _, value in pairs}


def children(pid: int) -> list[int]:
    """Return the pids of a process's direct children."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


@dataclass(frozen=True)
class Stat:
    """Of a process or thread: its state, start in clock ticks, and the processor it ran on last."""

    state: str
    ticks: int
    processor: int


def stat(folder: Path) -> Stat | None:
    """Return what /proc/PID/stat, or that of a thread, tells; None when it is gone."""
    try:
        words = (folder / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return Stat(words[0], int(words[19]), int(words[36]))


def _lives(pid: int, first: Stat) -> bool:
    if first.state not in "ZX":
        return True
    threads = map(stat, Path(f"/proc/{pid}/task").glob("*"))
    return any(thread is not None and thread.state not in "ZX" for thread in threads)
