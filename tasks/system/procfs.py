"""Processes as the kernel shows them in /proc: who one is, its arguments and environment.

A process is identified by boot, pid and start time in clock ticks, never by pid or name alone. It
may end between any two reads, which then find nothing and never raise. See proc(5).
"""

from __future__ import annotations

import os
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
    return tuple(read(Path(f"/proc/{pid}/cmdline")).split("\0")[:-1])


def environ_of(pid: int) -> dict[str, str]:
    """Return the environment a process was started with, as /proc has it."""
    words = read(Path(f"/proc/{pid}/environ")).split("\0")
    pairs = (word.partition("=") for word in words if "=" in word)
    return {name: value for name, _, value in pairs}


def children(pid: int) -> list[int]:
    """Return the pids of a process's direct children."""
    return [int(word) for task in threads(pid) for word in read(task / "children").split()]


def threads(pid: int) -> list[Path]:
    """Return the folders of a process's threads, none when it is gone."""
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def status(folder: Path, key: str) -> str:
    """Return a line of the status of a process or thread, empty when it is gone."""
    lines = (line.partition(":") for line in read(folder / "status").split("\n"))
    return next((value.strip() for name, _, value in lines if name == key), "")


@dataclass(frozen=True)
class Stat:
    """Of a process or thread: its state, start in clock ticks, and the processor it ran on last."""

    state: str
    ticks: int
    processor: int


def stat(folder: Path) -> Stat | None:
    """Return what /proc/PID/stat, or that of a thread, tells; None when it is gone."""
    words = read(folder / "stat").rpartition(") ")[2].split()
    return Stat(words[0], int(words[19]), int(words[36])) if words else None


def read(file: Path) -> str:
    """Return what a file of /proc tells, nothing when its process is gone or not ours to see."""
    try:
        return os.fsdecode(file.read_bytes())
    except OSError:
        return ""


def _lives(pid: int, first: Stat) -> bool:
    if first.state not in "ZX":
        return True
    return any(thread and thread.state not in "ZX" for thread in map(stat, threads(pid)))
