"""Commands and what they start: an interruption leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tasks.system import signals
from tasks.system.run import stop_on_exit


@pytest.fixture
def interrupted_start() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Collect the commands that a test starts, and stop what is left of them."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_leaves_no_command_behind(
    interrupted_start: list[subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["sleep", "600"], start_new_session=True)
        interrupted_start.append(process)
        os.kill(os.getpid(), number)  # as if it arrived before Popen has returned
        return process

    def interrupt(received: int, _: object) -> None:
        raise SystemExit(128 + received)

    before = signal.signal(number, interrupt)
    try:
        with pytest.raises(SystemExit) as caught, stop_on_exit(start):
            pytest.fail("the block ran")
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
    assert caught.value.code == 128 + number
    assert interrupted_start[0].poll() == -signal.SIGTERM


def test_without_a_signal_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with signals.deferred():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
