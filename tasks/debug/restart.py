"""Restart of a debugged component: the new process gets its mode and its breakpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tasks.build import source_text
from tasks.core import console
from tasks.core.errors import Failure
from tasks.debug import saved_breakpoints, swap
from tasks.debug.saved_breakpoints import SavedBreakpoint
from tasks.settings.load import Settings
from tasks.system import ports, process
from tasks.system.process import Record


@dataclass(frozen=True)
class Suspended:
    """What a stopped component had in the debugger."""

    swap: swap.Swap
    breakpoints: tuple[SavedBreakpoint, ...] | None
    """None if Delve did not answer: an editor that uses DAP controls it."""
    had_client: bool
    """Whether a client was connected to Delve; it loses its connection."""


def suspend(settings: Settings, name: str) -> Suspended | None:
    """Stop a debugged component before a restart; None if it is not being debugged."""
    debug_swap, record = swap.load(settings, name), process.load(settings.paths.run, name)
    if debug_swap is None:
        return None
    had_client = ports.has_clients(debug_swap.port)
    source = source_text.load(Path(record.exe)) if record else None
    saved: tuple[SavedBreakpoint, ...] | None = None
    try:
        saved = saved_breakpoints.collect(debug_swap.local, source, with_editors=not had_client)
    except Failure as failure:
        if not had_client:
            console.warn(f"the breakpoints of {name} cannot be read: {failure.message}")
    swap.kill(settings, name)
    return Suspended(
        replace(debug_swap, step="entering", debugger=None, hold=False), saved, had_client
    )


def reenter(settings: Settings, record: Record, suspended: Suspended) -> None:
    """Put the new process of a component into its debug mode, and note what became of it."""
    debug_swap = suspended.swap
    swap.enter(settings, record, debug_swap)
    outcome = saved_breakpoints.restore(
        debug_swap.local, suspended.breakpoints or (), source_text.load(Path(record.exe))
    )
    counted = f" with {outcome}" if suspended.breakpoints is not None else ""
    console.note(f"again in mode {debug_swap.mode}{counted}")
    if suspended.had_client:
        console.note(
            f"connect the debugger to {debug_swap.local} again; an editor that uses DAP sets its"
            " breakpoints itself"
        )
