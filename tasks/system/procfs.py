"""Processes in /proc: identity, arguments, environment, children, threads, state.

A process is identified by boot, pid and start time in clock ticks, never by pid or name alone. It
may exit between two reads; then a read returns nothing and never raises. See proc(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

STARTERS = frozenset({"docker", "nsenter", "unshare"})
"""Programs that start a component and wait for it; they have its mark too."""


@dataclass(frozen=True)
class Identity:
    """The identity of a process, which no other process ever has."""

    boot: str
    """The id of the kernel's boot, see boot_id."""
    pid: int
    ticks: int
    """When it was started, in clock ticks since the boot."""

    def alive(self) -> bool:
        """Return whether exactly this process exists and a thread of it is not a zombie.

        While a process exits, its first thread may be a zombie before the other threads are.
        Files, sockets and ports are closed only with the last thread.
        """
        current = stat(Path(f"/proc/{self.pid}"))
        return (
            self.boot == boot_id()
            and current is not None
            and current.ticks == self.ticks
            and _lives(self.pid, current)
        )


def identify(pid: int) -> Identity | None:
    """Return the identity of a running pid, or None when it does not run."""
    current = stat(Path(f"/proc/{pid}"))
    return Identity(boot_id(), pid, current.ticks) if current and _lives(pid, current) else None


def boot_id() -> str:
    """Return the id of this boot of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def is_stopped(pid: int) -> bool:
    """Return whether a signal (SIGSTOP, SIGTSTP) stopped a process; false for a traced one."""
    current = stat(Path(f"/proc/{pid}"))
    return current is not None and current.state == "T"


def start_time(pid: int) -> float | None:
    """Return when a process was started, in epoch seconds; None when it does not exist."""
    current = stat(Path(f"/proc/{pid}"))
    if current is None:
        return None
    uptime = float(read(Path("/proc/uptime")).split()[0])
    return time.time() - uptime + current.ticks / os.sysconf("SC_CLK_TCK")


def executable(pid: int) -> str | None:
    """Return the path of a process's program, or None when it cannot be read."""
    return link(pid, "exe")


def link(pid: int, name: str) -> str | None:
    """Return the path that a link such as `cwd` leads to; None for a pipe or if not readable."""
    try:
        target = str(Path(f"/proc/{pid}/{name}").readlink()).removesuffix(" (deleted)")
    except OSError:
        return None
    return target if target.startswith("/") else None


def argv_of(pid: int) -> tuple[str, ...]:
    """Return the argument list of a process, byte for byte, from /proc/PID/cmdline."""
    return tuple(read(Path(f"/proc/{pid}/cmdline")).split("\0")[:-1])


def environ_of(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with, from /proc/PID/environ."""
    entries = read(Path(f"/proc/{pid}/environ")).split("\0")
    pairs = (entry.partition("=") for entry in entries if "=" in entry)
    return {name: value for name, _, value in pairs}


def children(pid: int) -> list[int]:
    """Return the pids of a process's direct children."""
    return [int(child) for task in threads(pid) for child in read(task / "children").split()]


def main_process(identities: Iterable[Identity]) -> Identity | None:
    """Return the process of a component among the processes that have its mark.

    nsenter(1) and `dlv exec` have the component as their child; the component's children, such as
    containerd-shim, came later.
    """
    found = {identity.pid: identity for identity in identities}
    starters = {pid for pid in found if _starts_another(argv_of(pid))}
    inner = {child for pid in starters for child in children(pid)} & found.keys() - starters
    candidates = inner or found.keys() - starters
    return min((found[pid] for pid in candidates), key=lambda one: one.ticks, default=None)


def _starts_another(argv: tuple[str, ...]) -> bool:
    return argv[:1] != () and (Path(argv[0]).name in STARTERS or argv[1:2] == ("exec",))


def threads(pid: int) -> list[Path]:
    """Return the folders of a process's threads in /proc; empty when it does not exist."""
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def status(folder: Path, key: str) -> str:
    """Return a value from the `status` file of a process or thread; empty if it does not exist."""
    lines = (line.partition(":") for line in read(folder / "status").split("\n"))
    return next((value.strip() for name, _, value in lines if name == key), "")


@dataclass(frozen=True)
class Stat:
    """Fields of the `stat` file of a process or thread."""

    state: str
    """One letter, such as R (running), T (stopped), Z (zombie)."""
    ticks: int
    """When it was started, in clock ticks since the boot."""
    processor: int
    """The processor that it ran on last."""


def stat(folder: Path) -> Stat | None:
    """Return the `stat` of a process or thread, given its folder; None when it does not exist."""
    fields = read(folder / "stat").rpartition(") ")[2].split()
    return Stat(fields[0], int(fields[19]), int(fields[36])) if fields else None


def read(file: Path) -> str:
    """Return the text of a file in /proc; empty when the process exited or is not readable."""
    try:
        return os.fsdecode(file.read_bytes())
    except OSError:
        return ""


def _lives(pid: int, first: Stat) -> bool:
    if first.state not in "ZX":
        return True
    return any(thread and thread.state not in "ZX" for thread in map(stat, threads(pid)))
