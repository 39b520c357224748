"""The one way to run a command: argument lists, own process group, bounded, never a shell."""

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

from tasks.core.errors import Failure

PACKAGES = {
    "apt-get": "apt (this origin needs Debian or a relative of it)",
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


command_listeners: list[Callable[[Sequence[str]], None]] = []
"""Who is told of every command before it runs."""


@dataclass(frozen=True)
class Result:
    """What a finished command printed and how it ended."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of stderr, or of stdout when stderr is empty."""
        text = self.stderr.strip() or self.stdout.strip()
        return "\n".join(text.splitlines()[-lines:])


def program(name: str, *, search: str | None = None) -> str:
    """Return the absolute path of a program, or fail and name the package that has it."""
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
    """Run a command to its end and return what it printed.

    `env` replaces the whole environment when given; `timeout` is in seconds.
    Raises Failure when the program is missing, runs out of time, or (with `check`) exits non-zero.
    """
    words = [os.fspath(word) for word in argv]
    with _spawned(words, cwd, env, stdin is not None) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{shlex.join(words)} did not end within {timeout:g} s", hint) from None
    result = Result(tuple(words), process.returncode, out, err)
    if check and result.code:
        raise Failure(f"{shlex.join(words)} exited with {result.code}\n{result.tail()}", hint)
    return result


def follow(
    *argv: str | Path,
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a command, hand each line it prints (both streams) to `on_line`, return its exit code."""
    words = [os.fspath(word) for word in argv]
    with _spawned(words, cwd, env, False, merge=True) as process:
        assert process.stdout is not None  # noqa: S101 - merge=True always gives a pipe
        for line in process.stdout:
            on_line(line.rstrip("\n"))
        return process.wait()


def announce(words: Sequence[str]) -> None:
    """Tell of a command, also of one that is started elsewhere."""
    for listener in command_listeners:
        listener(words)


@contextmanager
def _spawned(
    words: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    has_input: bool,
    merge: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Start a command in its own process group and take the group down if we are interrupted."""
    announce(words)
    program(words[0], search=None if env is None else env.get("PATH"))
    if cwd is not None and not cwd.is_dir():
        raise Failure(f"the folder {cwd} does not exist (needed to run {words[0]})")
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge else subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        with ending(process):
            yield process
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def ending(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """End a command, and all it started, with the block at the latest; see end_group."""
    try:
        yield process
    finally:
        if process.poll() is None:
            end_group(process)


def end_group(process: subprocess.Popen[Any]) -> None:
    """End a command with all it started; it must have been given a process group of its own."""
    for number, limit in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(limit)
            return
