"""A toy and a Delve that a test starts itself; nothing here waits by sleeping a while."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from tasks import delve
from tasks.delve import Delve

T = TypeVar("T")


def eventually(probe: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Poll until the probe returns a true value, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := probe()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)
    return value


def traced(debugger: int) -> psutil.Process:
    """Return the process that Delve started to debug; Delve may have other children."""
    children = psutil.Process(debugger).children()
    return next(child for child in children if delve.tracer(child.pid) == debugger)


@contextmanager
def started(
    argv: Sequence[str], output: Path, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a new session, and stop it after the block."""
    with output.open("wb") as stream:
        process = subprocess.Popen(
            argv,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Toy:
    """A running toy program; `calls` returns (over HTTP) how often it has called work()."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def calls(self, timeout: float = 5.0) -> int | None:
        return healthz(self.port, timeout)

    def goes_on(self, iterations: int = 20) -> bool:
        """Tell whether it lives through some more iterations."""
        before = self.calls() or 0
        eventually(lambda: (self.calls() or 0) >= before + iterations, "more iterations")
        return self.process.poll() is None


def healthz(port: int, timeout: float = 5.0) -> int | None:
    with suppress(OSError):
        url = f"http://127.0.0.1:{port}/healthz"
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return int(answer.read())
    return None


@dataclass(frozen=True)
class Debugger:
    """A Delve process and where it listens."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self, seconds: float = 30.0) -> Delve:
        alive = lambda: self.process.poll() is None  # noqa: E731
        return delve.wait_ready(self.address, seconds, alive, self.output.read_text)
