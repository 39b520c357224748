"""Delve's command lines, the wait until it answers, and its traces in the kernel's tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tasks.delve.client import POLL, Delve
from tasks.delve.connection import DelveError, DelveTimeoutError
from tasks.system import procfs


def wait_ready(
    address: str,
    deadline_seconds: float,
    alive: Callable[[], bool],
    said: Callable[[], str] = str,
) -> Delve:
    """Wait until Delve answers a request, and return the connection that it answered on.

    Delve listens long before it has read the program, so that only an answer proves anything.
    `alive` tells whether its process exists, `said` what it printed, for the error.
    """
    deadline = time.monotonic() + deadline_seconds
    why = ""
    while alive() and time.monotonic() < deadline:
        try:
            if delve := _answering(address, lambda: alive() and time.monotonic() < deadline):
                return delve
        except DelveError as error:
            why = error.message
        time.sleep(POLL)
    words = said().strip() or why
    if alive():
        raise DelveTimeoutError(f"Delve was not ready within {deadline_seconds:g} s", words)
    raise DelveError(f"Delve ended before it was ready: {words}")


def _answering(address: str, hopeful: Callable[[], bool]) -> Delve | None:
    """Connect and return the connection once it has answered, None when there is no hope left."""
    delve = Delve(address)
    try:
        ticket = delve.start("GetVersion")
        while hopeful():
            with suppress(DelveTimeoutError):
                delve.finish(ticket, 5 * POLL)
                return delve
    except DelveError:
        delve.close()
        raise
    delve.close()
    return None


def attach_argv(
    dlv: Path, pid: int, *, listen: str, log: Path, check_go_version: bool = True
) -> list[str]:
    """Return the command that attaches Delve to a process, which goes on as soon as it can."""
    return [str(dlv), "attach", str(pid), *_server(listen, log, check_go_version), "--continue"]


def exec_argv(
    dlv: Path,
    binary: Path,
    args: Sequence[str],
    *,
    listen: str,
    log: Path,
    cwd: Path,
    stop_at_entry: bool = False,
    check_go_version: bool = True,
) -> list[str]:
    """Return the command that starts a binary under Delve, held before main() or running.

    The program takes over Delve's output, so `log` is for Delve's own words; --redirect would
    truncate the program's log.
    """
    flags = [*_server(listen, log, check_go_version), f"--wd={cwd}"]
    if not stop_at_entry:
        flags.append("--continue")
    return [str(dlv), "exec", str(binary.absolute()), *flags, "--", *args]


def _server(listen: str, log: Path, check_go_version: bool) -> list[str]:
    flags = [
        "--headless",
        f"--listen={listen}",
        "--api-version=2",
        "--accept-multiclient",
        f"--log-dest={log}",
    ]
    return flags if check_go_version else [*flags, "--check-go-version=false"]


def clients(port: int) -> int:
    """Count the connections to a loopback port: editors, terminals and our own; see proc(5)."""
    tables = (procfs.read(Path("/proc/net", name)) for name in ("tcp", "tcp6"))
    words = [row.split() for table in tables for row in table.splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in words)


def paused(pid: int) -> bool:
    """Tell whether a debugger holds the process, from the state of its main thread; see proc(5)."""
    stat = procfs.stat(Path(f"/proc/{pid}"))
    return stat is not None and stat.state == "t"


def tracer(pid: int) -> int:
    """Return the pid of the process that debugs another, 0 when none does; see proc(5).

    TracerPid names the very thread that attached, in Delve seldom the main one.
    """
    thread = procfs.status(Path(f"/proc/{pid}"), "TracerPid")
    return int(procfs.status(Path(f"/proc/{thread or 0}"), "Tgid") or 0)
