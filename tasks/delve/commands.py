"""Delve's command lines, the wait until it answers, and its traces in the kernel's tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tasks.delve.client import POLL, Delve
from tasks.delve.connection import DelveError, DelveTimeoutError


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
    rows: list[str] = []
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            rows += Path("/proc/net", table).read_text().splitlines()[1:]
    words = [row.split() for row in rows]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in words)


def paused(pid: int) -> bool:
    """Tell whether a debugger holds the process, from the state of its main thread; see proc(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] == "t"


def tracer(pid: int) -> int:
    """Return the pid of the process that debugs another, 0 when none does; see proc(5).

    TracerPid names the very thread that attached, in Delve seldom the main one.
    """
    try:
        thread = _status(pid, "TracerPid")
        return _status(thread, "Tgid") if thread else 0
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _status(pid: int, key: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
