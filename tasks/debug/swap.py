"""The debug swap: a component goes into the debugger, and comes back, one journal step at a time.

The two ways in are in attach.py, the way back is in detach.py.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from tasks import delve
from tasks.core.errors import Failure
from tasks.debug import attach, detach, journal, saved_breakpoints
from tasks.debug.journal import Swap, as_mode, is_paused, load, modes, request
from tasks.debug.preflight import require_possible
from tasks.settings.load import Settings
from tasks.system import firewall, process
from tasks.system.process import Record

__all__ = [
    "Swap",
    "as_mode",
    "enter",
    "kill",
    "leave",
    "load",
    "modes",
    "recover",
    "request",
    "require_running",
    "resume",
    "suspend",
]


def require_running(settings: Settings, name: str) -> Record:
    """Return the record of a component that runs. Raises Failure when it does not."""
    record = process.load(settings.paths.run, name)
    if record is None or not record.alive():
        raise Failure(f"{name} does not run", "start the cluster first: doit up")
    return record


def enter(settings: Settings, record: Record, wanted: Swap) -> Record:
    """Put a running component under the debugger. Raises Failure and restores it on any error."""
    name = record.component
    require_possible(settings, record, wanted)
    journal.write(settings, name, wanted)
    try:
        if wanted.firewall:
            firewall.open_port(wanted.port)
        return attach.enter(settings, record, wanted)
    except BaseException:
        with suppress(Failure):  # the first failure is the one to tell
            leave(settings, name)
        raise


def leave(settings: Settings, name: str) -> Record | None:
    """Take a component out of the debugger and give back a normal process, whatever is left of it.

    Returns its record, or None when it has none.
    """
    swap = load(settings, name)
    record = process.load(settings.paths.run, name)
    if swap is None:
        return record
    journal.write(settings, name, replace(swap, step="leaving"))
    if record is not None:
        if not detach.detach(settings, record, swap):
            detach.kill_debugger(settings, name, record, swap)
            record = detach.restart(settings, record)
        record = process.with_mode(record, "normal")
        process.save(settings.paths.run, record)
    _over(settings, name, swap)
    return record


def recover(settings: Settings, name: str) -> bool:
    """Bring a component back whose swap was cut off or lost its debugger; True when it was."""
    swap = load(settings, name)
    if swap is None or not swap.broken:
        return False
    leave(settings, name)
    return True


def suspend(
    settings: Settings, name: str
) -> tuple[Swap, tuple[saved_breakpoints.SavedBreakpoint, ...]] | None:
    """Free a component that is about to be started again; return how it was being debugged."""
    swap = load(settings, name)
    if swap is None:
        return None
    marks = saved_breakpoints.collect(swap.local)
    kill(settings, name)
    return replace(swap, step="entering", debugger=None, hold=False), marks


def kill(settings: Settings, name: str) -> None:
    """End a debugged component together with its debugger."""
    swap = load(settings, name)
    if swap is not None:
        record = process.load(settings.paths.run, name)
        detach.kill_debugger(settings, name, record, swap)
        _over(settings, name, swap)


def resume(settings: Settings, name: str) -> bool:
    """Clear every breakpoint of a component that stands still and let it go on; True if it did."""
    swap = load(settings, name)
    if swap is None or not is_paused(process.load(settings.paths.run, name)):
        return False
    with delve.Delve(swap.local) as client:
        client.clear_all()
        client.resume()
        client.wait_running(5.0)
    return True


def _over(settings: Settings, name: str, swap: Swap) -> None:
    if swap.firewall:
        firewall.close_port(swap.firewall)
    journal.remove(settings, name)
