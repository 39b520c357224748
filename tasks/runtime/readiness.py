"""Start components side by side: `up` waits for one only when another needs it, and at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial

from tasks.components.base import Component
from tasks.core import console, doit_run
from tasks.core.doit_run import once_per_run
from tasks.core.errors import Failure
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.process import Record

SHOWN = 0.1
"""Seconds of a wait that are printed; a task can take long because it waits for a component."""


@dataclass
class _Start:
    """The start of one component."""

    wait: Callable[[], object]
    """Waits until the component is ready. Raises Failure when it does not become ready."""
    locks: ExitStack
    """The locks of the start: another run does not touch the component before it is ready."""
    failure: Failure | None = None
    """Why it did not become ready."""


@once_per_run
def _starts() -> dict[str, _Start]:
    return {}


def locked(settings: Settings, name: str) -> AbstractContextManager[None]:
    """Lock a component; this run keeps no locks while it waits for those of another run."""
    return files.locked(settings.paths.run / f"{name}.lock", before_wait=require_all)


def start(settings: Settings, component: Component, locks: ExitStack) -> Record:
    """Start a component and return its record; it is ready, unless `up` waits for it later.

    `locks` are those of the start. They are released when the component is ready.
    """
    if not doit_run.current().selected_with_dependencies("up"):
        return processes.start(settings, component)
    record, written = processes.begin(settings, component)
    wait = partial(processes.finish, settings, component, record, written)
    _starts()[component.name] = _Start(wait, locks.pop_all())
    return record


def require(*names: str) -> None:
    """Wait until these components are ready, if this run has started them.

    Raises Failure when one does not become ready, also when it is required again.
    """
    for name in names:
        start = _starts().get(name)
        if start is None:
            continue
        if start.failure is not None:
            raise start.failure
        with start.locks:
            began = time.monotonic()
            try:
                start.wait()
            except Failure as failure:
                start.failure = failure
                raise
            waited = time.monotonic() - began
            if waited >= SHOWN:
                console.say(f"  waited {waited:.1f} s until {name} was ready")
        del _starts()[name]


def require_all() -> None:
    """Wait until all components are ready that this run has started."""
    require(*list(_starts()))


def release_all() -> None:
    """Release the locks of all starts without waiting, to stop the components."""
    for start in _starts().values():
        start.locks.close()
