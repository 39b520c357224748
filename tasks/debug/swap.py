"""Debug swap: put a component under Delve and take it out, with a journal entry before each step.

attach.py has both modes to enter, detach.py has the way out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from tasks import delve
from tasks.core import console
from tasks.core.errors import Failure
from tasks.debug import attach, detach, journal
from tasks.debug.journal import Swap, as_mode, is_paused, load, modes, request
from tasks.debug.preflight import require_possible
from tasks.runtime import replacement
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
]


def require_running(settings: Settings, name: str) -> Record:
    """Return the record of a running component. Raises Failure if it is not running."""
    record = process.load(settings.paths.run, name)
    if record is None or not record.alive():
        raise Failure(f"{name} is not running", "run: doit up")
    return record


def enter(settings: Settings, record: Record, desired: Swap) -> Record:
    """Put a running component under Delve and return its record.

    On any error the component is restored to a normal process, then the error is raised.
    """
    name = record.component
    require_possible(settings, record, desired)
    journal.write(settings, name, desired)
    try:
        if desired.firewall:
            firewall.open_port(desired.port)
        return attach.enter(settings, record, desired)
    except BaseException:
        with suppress(Failure):  # the first error is the one to report
            leave(settings, name)
        raise


def leave(settings: Settings, name: str) -> Record | None:
    """Take a component out of Delve, and restart it if it cannot continue as a normal process.

    Works after any interruption. Returns the component's record, or None if it has none.
    """
    swap = load(settings, name)
    record = process.load(settings.paths.run, name)
    if swap is None:
        return record
    unwritten = _write_leaving(settings, name, swap)
    if record is not None:
        if not detach.detach(settings, record, swap):
            if unwritten is not None:
                raise unwritten
            detach.stop_with_debugger(settings, name, record, swap)
            record = replacement.restart(settings, record)
        record = process.with_mode(record, "normal")
        try:
            process.save(settings.paths.run, record)
        except Failure as failure:  # only the mode is old in the record
            console.warn(failure.message)
    _finish(settings, name, swap)
    return record


def _write_leaving(settings: Settings, name: str, swap: Swap) -> Failure | None:
    """Write the step `leaving`; return the Failure of a full disk in mode attach, else None.

    A detach needs no file. A restart does: the record of a new process must be written.
    """
    try:
        journal.write(settings, name, replace(swap, step="leaving"))
    except Failure as failure:
        if swap.mode == "debug-exec":
            raise
        return failure
    return None


def recover(settings: Settings, name: str) -> bool:
    """Take a component with a broken swap out of Delve; return whether the swap was broken."""
    swap = load(settings, name)
    if swap is None or not swap.broken:
        return False
    leave(settings, name)
    return True


def kill(settings: Settings, name: str) -> None:
    """Stop a debugged component together with its Delve."""
    swap = load(settings, name)
    if swap is not None:
        record = process.load(settings.paths.run, name)
        detach.stop_with_debugger(settings, name, record, swap)
        _finish(settings, name, swap)


def resume(settings: Settings, name: str) -> bool:
    """Clear all breakpoints of a paused component and resume it; return whether it was paused."""
    swap = load(settings, name)
    if swap is None or not is_paused(process.load(settings.paths.run, name)):
        return False
    with delve.Delve(swap.local) as client:
        client.clear_all()
        client.resume()
        client.wait_running(5.0)
    return True


def _finish(settings: Settings, name: str, swap: Swap) -> None:
    """Close the opened port and remove the journal."""
    if swap.firewall:
        firewall.close_port(swap.firewall)
    journal.remove(settings, name)
