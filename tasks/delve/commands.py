"""Delve command lines, the wait until Delve is ready, and the state of a process in /proc."""

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
    output: Callable[[], str] = str,
) -> Delve:
    """Wait until Delve answers a request, and return the connection that got the answer.

    Delve listens long before it has read the program, so only an answer proves that it is ready.
    `alive` returns whether Delve's process exists. `output` returns Delve's output, for the error.
    """
    deadline = time.monotonic() + deadline_seconds
    why = ""
    while alive() and time.monotonic() < deadline:
        try:
            if delve := _connect(address, lambda: alive() and time.monotonic() < deadline):
                return delve
        except DelveError as error:
            why = error.message
        time.sleep(POLL)
    details = output().strip() or why
    if alive():
        raise DelveTimeoutError(f"Delve was not ready within {deadline_seconds:g} s", details)
    raise DelveError(f"Delve exited before it was ready: {details}")


def _connect(address: str, keep_waiting: Callable[[], bool]) -> Delve | None:
    """Connect and return the connection after its first answer; None if `keep_waiting` is false."""
    delve = Delve(address)
    try:
        ticket = delve.start("GetVersion")
        while keep_waiting():
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
    """Return the argv that attaches Delve to a process and then resumes the process."""
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
    """Return the argv that starts a binary under Delve; `stop_at_entry` pauses it before main().

    The program inherits Delve's stdout and stderr, so Delve itself writes to `log`. The flag
    --redirect is not used: it would truncate the program's log.
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


def paused(pid: int) -> bool:
    """Return whether a debugger has paused a process (state of its main thread); see proc(5)."""
    stat = procfs.stat(Path(f"/proc/{pid}"))
    return stat is not None and stat.state == "t"


def tracer(pid: int) -> int:
    """Return the pid of the debugger of a process, 0 if there is none; see proc(5).

    TracerPid is the id of the thread that attached. In Delve this is seldom the main thread.
    """
    thread = procfs.status(Path(f"/proc/{pid}"), "TracerPid")
    return int(procfs.status(Path(f"/proc/{thread or 0}"), "Tgid") or 0)
