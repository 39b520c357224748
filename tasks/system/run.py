"""Run a command: an argument list in a new process group, with a timeout, never a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, AnyStr

from tasks.core import doit_run, redact, timeline
from tasks.core.errors import Failure
from tasks.system import signals

UMASK = 0o022
"""The umask of commands: installers, compilers and git expect that others can read their files."""
PACKAGES = {
    "apt-get": "apt (this origin needs Debian or a distribution based on it)",
    "ctr": "containerd",
    "dpkg-deb": "dpkg",
    "dpkg-source": "dpkg-dev",
    "gcc": "gcc",
    "git": "git",
    "ip": "iproute2",
    "make": "make",
    "nsenter": "util-linux",
    "patch": "patch",
    "unshare": "util-linux",
}


@dataclass(frozen=True)
class Result:
    """The output and the exit code of a finished command."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of stderr, or of stdout when stderr is empty."""
        text = self.stderr.strip() or self.stdout.strip()
        return "\n".join(text.splitlines()[-lines:])


def program(name: str, *, search: str | None = None) -> str:
    """Return the absolute path of a program. Raises Failure that names the package to install."""
    found = shutil.which(name, path=search)
    if found is None:
        package = PACKAGES.get(name, name)
        raise Failure(
            f"the program {name} is not installed",
            f"install it, for example: apt-get install -y {package}",
        )
    return found


def run(
    *argv: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    check: bool = True,
    stdin: str | None = None,
    hint: str = "",
) -> Result:
    """Run a command until it exits and return its output.

    `env` replaces the complete environment; `timeout` is in seconds. Raises Failure when the
    program is not installed, does not finish in time, or (with `check`) exits non-zero.
    """
    arguments = [os.fspath(argument) for argument in argv]
    with _spawned(arguments, cwd, env, stdin is not None) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            message = f"{shlex.join(arguments)} did not finish within {timeout:g} s"
            raise Failure(message, hint) from None
    result = Result(tuple(arguments), process.returncode, out, err)
    if check and result.code:
        raise Failure(f"{shlex.join(arguments)} exited with {result.code}\n{result.tail()}", hint)
    return result


def follow(
    *argv: str | Path,
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a command, pass each line of stdout and stderr to `on_line`, return its exit code."""
    arguments = [os.fspath(argument) for argument in argv]
    with _spawned(arguments, cwd, env, False, merge=True) as process:
        assert process.stdout is not None  # noqa: S101 - merge=True always gives a pipe
        for line in process.stdout:
            on_line(line.rstrip("\n"))
        return process.wait()


def announce(argv: Sequence[str]) -> None:
    """Pass a command line to the command listeners, before the command is started."""
    for listener in doit_run.current().command_listeners:
        listener(argv)


@contextmanager
def _spawned(
    argv: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    has_input: bool,
    merge: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a new process group; stop the group if the block is interrupted."""
    announce(argv)
    program(argv[0], search=None if env is None else env.get("PATH"))
    if cwd is not None and not cwd.is_dir():
        raise Failure(f"the folder {cwd} does not exist (needed to run {argv[0]})")

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            umask=UMASK,
        )

    command = redact.mask(shlex.join(argv))
    with (
        timeline.span(Path(argv[0]).name, "command", command=command),
        stop_on_exit(start) as process,
    ):
        try:
            yield process
        finally:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@contextmanager
def stop_on_exit(
    start: Callable[[], subprocess.Popen[AnyStr]],
) -> Iterator[subprocess.Popen[AnyStr]]:
    """Start a command; stop it, and all processes it started, at the end of the block.

    A SIGINT or SIGTERM that arrives during the start is handled after it, so that it leaves no
    command behind. See stop_group.
    """
    process = None
    try:
        with signals.deferred():
            process = start()
        yield process
    finally:
        if process is not None and process.poll() is None:
            stop_group(process)


def stop_group(process: subprocess.Popen[Any]) -> None:
    """Stop a command with all processes it started; it must lead its process group."""
    for number, limit in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(limit)
            return
