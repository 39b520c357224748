"""The way out of the debugger, by signals where it can be.

An editor that speaks DAP can make Delve's own requests hang, so none of them is waited for long.
"""

from __future__ import annotations

import signal

from tasks import delve
from tasks.core.errors import Failure
from tasks.debug import journal, saved_breakpoints
from tasks.debug.journal import Swap
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system import process, signals
from tasks.system.process import Record
from tasks.system.procfs import Identity


def detach(settings: Settings, record: Record, swap: Swap) -> bool:
    """Detach Delve; True when the very process runs on, clean, and need not be restarted.

    A process whose Delve died has its traps still in its text: it is never taken over.
    """
    debuggers = journal.debuggers(settings, record.component, swap)
    if not debuggers:
        return swap.debugger is None and record.alive() and not delve.tracer(record.identity.pid)
    if swap.mode == "debug-exec":
        return False  # Delve kills what it started, also when it is told to let go
    if not _let_go(swap, debuggers[0]):
        saved_breakpoints.drop(swap.port)
        _let_go(swap, debuggers[0])
    for debugger in debuggers:
        signals.stop(debugger, ((signal.SIGTERM, 3.0),))
    gone = not any(debugger.alive() for debugger in debuggers)
    return gone and record.alive() and not delve.tracer(record.identity.pid)


def _let_go(swap: Swap, debugger: Identity) -> bool:
    """Clear every breakpoint and detach; False when a client that speaks DAP stands in the way."""
    try:
        with delve.Delve(swap.local, timeout=3.0) as client:
            client.halt(timeout=3.0)
            client.clear_all()
            client.detach(kill=False)
    except delve.DelveTimeoutError:
        return False
    except Failure:
        pass  # not listening yet, or ended: a signal tells
    return signals.wait_gone(debugger, 1.0)


def kill_debugger(settings: Settings, name: str, record: Record | None, swap: Swap) -> None:
    """End a component by its own signals, then the Delve that would otherwise kill it."""
    debuggers = journal.debuggers(settings, name, swap)
    if record is not None:
        held = delve.paused(record.identity.pid)  # a signal would wait until it goes on
        signals.stop(record.identity, signals.KILL if held else signals.LADDER)
    for debugger in debuggers:
        signals.stop(debugger, ((signal.SIGTERM, 2.0), *signals.KILL))
    process.stop_marked(process.mark(name, settings.paths.instance), signals.KILL, ())


def restart(settings: Settings, record: Record) -> Record:
    """Start a component again exactly as it was recorded, and wait until it is ready."""
    component = processes.desired_component(settings, record.component)
    fresh = processes.spawn(settings, record.component, record.argv, record.env, record.fingerprint)
    processes.wait_ready(component, fresh)
    return fresh
