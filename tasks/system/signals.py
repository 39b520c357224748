"""Signal and stop a process through a pidfd, with a bounded wait for each signal.

If another process has got the pid in the meantime, it is not signalled. See pidfd_open(2).
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tasks.system.procfs import Identity, is_stopped

KILL = ((signal.SIGKILL, 10.0),)
LADDER = ((signal.SIGTERM, 2.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0))


@contextmanager
def deferred() -> Iterator[None]:
    """Handle SIGINT and SIGTERM at the end of the block, not in it; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        received.append(number)

    handlers = {
        number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for pending in received:
            signal.raise_signal(pending)


def stop(identity: Identity, ladder: Sequence[tuple[int, float]] = LADDER) -> bool:
    """Stop a process with a ladder of (signal, seconds to wait); return whether it is gone.

    A second SIGTERM makes a Kubernetes component exit at once even with watchers connected. A
    process that SIGSTOP stopped gets SIGCONT too, because it handles SIGTERM only when it runs.
    """
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if not identity.alive():
            return True
        for number, limit in ladder:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
                if is_stopped(identity.pid):
                    signal.pidfd_send_signal(handle, signal.SIGCONT)
            if _gone(handle, identity, limit):
                return True
        return not identity.alive()
    finally:
        os.close(handle)


def resume(identity: Identity) -> bool:
    """Send SIGCONT to a process that a signal stopped; return whether it was stopped."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not identity.alive() or not is_stopped(identity.pid):
            return False
        signal.pidfd_send_signal(handle, signal.SIGCONT)
        return True
    finally:
        os.close(handle)


def wait_gone(identity: Identity, limit: float) -> bool:
    """Wait up to `limit` seconds until a process has exited; return whether it has."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        return not identity.alive() or _gone(handle, identity, limit)
    finally:
        os.close(handle)


def _gone(handle: int, identity: Identity, limit: float) -> bool:
    """Wait on a pidfd; a zombie that no process reaps counts as gone.

    The pidfd of a traced process becomes readable only after its tracer has reaped every thread,
    so the state of the process is checked as well.
    """
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    deadline = time.monotonic() + limit
    while identity.alive():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        poll.poll(min(left, 0.05) * 1000)
    return True
