"""Start a process; how a component exited, which reaper.py writes to a file as its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core import console
from tasks.system import files, inherited, state

LOG_LIMIT = 64 << 20
"""Bytes of a log on disk; when it has more, reaper.py moves them to `older(log)`."""
_REAPER = Path(__file__).with_name("reaper.py")


@dataclass(frozen=True)
class Exit:
    """When and how a process exited."""

    at: float | None
    """Epoch seconds; without an exit file, when it last wrote to its log."""
    status: int | None
    """The exit code, or the number of the signal after a minus sign; None when not known."""
    rebooted: bool = False
    """Whether the machine was started again since then."""

    def __str__(self) -> str:
        if self.rebooted:
            how = "stopped with the machine"
        elif self.status is None:
            how = "exited (status unknown)"
        elif self.status < 0:
            how = f"was killed by {_signal_name(-self.status)}"
        else:
            how = f"exited with code {self.status}"
        if self.at is None:
            return how
        ago = console.duration(max(0.0, time.time() - self.at))
        return f"{how} at {time.strftime('%H:%M:%S', time.localtime(self.at))}, {ago} ago"


@dataclass(frozen=True)
class _File:
    """The content of an exit file; the fields are as in Exit."""

    at: float
    status: int


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"


def path(run: Path, component: str) -> Path:
    """Return the path of a component's exit file."""
    return run / f"{component}.exit"


def part(exit_file: Path) -> Path:
    """Return the path of the file that reaper.py renames to the exit file."""
    return exit_file.with_name(f"{exit_file.name}.part")


def older(log: Path) -> Path:
    """Return the path of the older part of a log, which reaper.py writes; it has no gap to it."""
    return log.with_name(f"{log.name}.1")


def load(run: Path, component: str, since: float, log: Path) -> Exit:
    """Return how a process that was started at `since` exited.

    An older exit file is of the process before it. A process that stepkube started before it had
    reaper.py has no exit file.
    """
    known = state.load(path(run, component), _File)
    if known is not None and known.at >= since:
        return Exit(known.at, known.status)
    try:
        return Exit(log.stat().st_mtime, None)
    except OSError:
        return Exit(None, None)


def of_container(client: Exit) -> Exit:
    """Return how a program in a container exited, from the exit of its `docker run`.

    Like a shell, Docker adds 128 to the number of a signal.
    """
    if client.status is None or client.status - 128 not in signal.valid_signals():
        return client
    return replace(client, status=128 - client.status)


def start(
    component: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path,
    log: Path,
    umask: int,
    exit_file: Path | None,
) -> int:
    """Start a process in a new session and return its pid. Raises OSError when exec fails.

    With `exit_file`, it is the child of reaper.py, which writes to this file how it exited.
    """
    if exit_file is None:
        return _start_alone(argv, env, cwd, log, umask)
    for file in (part(exit_file), exit_file):
        files.remove(file)
    request = {
        "argv": list(argv),
        "env": dict(env),
        "cwd": str(cwd),
        "log": str(log),
        "exit": str(exit_file),
        "older": str(older(log)),
        "limit": LOG_LIMIT,
    }
    with log.open("ab") as errors:
        reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_REAPER), component],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={},
            start_new_session=True,
            umask=umask,  # the component inherits this from the reaper, and what `reset` sets
            preexec_fn=inherited.reset,  # noqa: PLW1509 - no other thread starts components
        )
    assert reaper.stdin is not None and reaper.stdout is not None  # noqa: S101 - both are pipes
    with reaper.stdin as request_pipe, reaper.stdout as reply_pipe:
        request_pipe.write(json.dumps(request).encode())
        request_pipe.close()
        reply = int(reply_pipe.readline() or b"-1")
    if reply < 0:
        reaper.wait()
        raise OSError(-reply, os.strerror(-reply), argv[0])
    reaper.returncode = 0  # it keeps running after us: subprocess must not wait for it or warn
    return reply


def _start_alone(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, umask: int
) -> int:
    with log.open("ab") as out:
        child = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            umask=umask,
            preexec_fn=inherited.reset,  # noqa: PLW1509 - no other thread starts components
        )
    child.returncode = 0  # it keeps running after us: subprocess must not wait for it or warn
    return child.pid
