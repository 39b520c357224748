"""Take a component out of Delve, or stop both.

A DAP client (an editor) can block Delve's RPC, so each request has a short timeout and signals to
Delve follow.
"""

from __future__ import annotations

import os
import shutil
import signal

from tasks import delve
from tasks.core.errors import Failure
from tasks.debug import journal
from tasks.debug.journal import Swap
from tasks.settings.load import Settings
from tasks.system import process, signals
from tasks.system.process import Record
from tasks.system.procfs import Identity
from tasks.system.run import run


def detach(settings: Settings, record: Record, swap: Swap) -> bool:
    """Detach Delve; return True if the process continues without breakpoints, False to restart it.

    If Delve died, its breakpoint instructions are still in the text of the process, so the result
    is False.
    """
    debuggers = journal.debuggers(settings, record.component, swap)
    if not debuggers:
        return swap.debugger is None and record.alive() and not delve.tracer(record.identity.pid)
    if swap.mode == "debug-exec":
        return False  # Delve kills a process that it started, even on detach without kill
    if not _clear_and_detach(swap, debuggers[0]):
        cut_connections(swap.port)
        _clear_and_detach(swap, debuggers[0])
    for debugger in debuggers:
        signals.stop(debugger, ((signal.SIGTERM, 3.0),))
    gone = not any(debugger.alive() for debugger in debuggers)
    return gone and record.alive() and not delve.tracer(record.identity.pid)


def _clear_and_detach(swap: Swap, debugger: Identity) -> bool:
    """Clear all breakpoints and detach; return False if Delve did not exit.

    A DAP client can block the requests.
    """
    try:
        with delve.Delve(swap.local, timeout=3.0) as client:
            client.halt(timeout=3.0)
            client.clear_all()
            client.detach(kill=False)
    except delve.DelveTimeoutError:
        return False
    except Failure:
        pass  # Delve does not listen yet or has exited: the signals in `detach` handle both
    return signals.wait_gone(debugger, 1.0)


def cut_connections(port: int) -> bool:
    """Close the connections to a port with `ss -K`; return whether it worked.

    Needs root and a kernel with CONFIG_INET_DIAG_DESTROY. It helps when the connection of an editor
    blocks Delve.
    """
    if os.geteuid() or shutil.which("ss") is None:
        return False
    result = run("ss", "-K", "state", "established", f"sport = :{port}", check=False, timeout=10)
    return result.code == 0


def stop_with_debugger(settings: Settings, name: str, record: Record | None, swap: Swap) -> None:
    """Stop a component by its usual signals, then its Delve, which would kill it at once."""
    debuggers = journal.debuggers(settings, name, swap)
    if record is not None:
        paused = delve.paused(record.identity.pid)  # it would get SIGTERM only after a resume
        signals.stop(record.identity, signals.KILL if paused else signals.LADDER)
    for debugger in debuggers:
        signals.stop(debugger, ((signal.SIGTERM, 2.0), *signals.KILL))
    process.stop_marked(process.mark(name, settings.paths.instance), signals.KILL, ())
