"""Whether a running component works: its answer, its port forwards, why it must be restarted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tasks.components.base import Component
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.debug import journal
from tasks.runtime import connectors, sandbox
from tasks.settings.load import Settings
from tasks.system import exits, ports, process, procfs, signals
from tasks.system.exits import Exit
from tasks.system.ports import Answer, Health
from tasks.system.process import Record

ANSWER_LIMIT = 10.0
"""Seconds in which a running component must answer its health check; then it is restarted."""


def works(settings: Settings, component: Component, record: Record) -> bool:
    """Return whether a running component is ready now; one that is being debugged always is.

    Without its connector, no component is ready.
    """
    if journal.load(settings, component.name) is not None:
        return not connectors.broken(settings, record)
    return (
        not broken_helpers(settings, record)
        and not procfs.is_stopped(record.identity.pid)
        and ports.healthy(health_of(component, record))
    )


def health_of(component: Component, record: Record) -> Health:
    """Return the health check of a process; an earlier release of stepkube may have started it."""
    return COMPONENTS[component.name].health_of(component, record.argv)


def broken_helpers(settings: Settings, record: Record) -> Mapping[str, str]:
    """Return the broken connector, sandbox and port forwards of a component, with the problems."""
    if COMPONENTS[record.component].in_sandbox(settings):
        return sandbox.broken(settings, record.component)
    return connectors.broken(settings, record)


def how_it_died(settings: Settings, record: Record) -> Exit:
    """Return how a component exited that has a record: `stop` and `down` remove the record."""
    log = Path(record.log)
    found = exits.load(settings.paths.run, record.component, record.since, log)
    if COMPONENTS[record.component].in_container(settings):
        found = exits.of_container(found)
    return replace(found, rebooted=record.identity.boot != procfs.boot_id())


def report_death(settings: Settings, record: Record) -> None:
    """Print how a component died, with the last lines of its log."""
    log = Path(record.log)
    console.say(f"  {record.component} {how_it_died(settings, record)}; the end of {log}:")
    console.say(process.tail(log, 5))


def repair(settings: Settings, component: Component, record: Record) -> str:
    """Repair a running component without a restart; return why it must be restarted, else "".

    The caller has the component's lock, so no other run is waiting for its start. A component that
    a signal stopped is continued. One that is being debugged, or that needs a component which is
    paused in the debugger, is never restarted.
    """
    name, pid = component.name, record.identity.pid
    for connector in connectors.repair(settings, record):
        console.note(f"started {connector} again")
    if journal.load(settings, name) is not None:
        return ""
    forwards = broken_helpers(settings, record)
    if forwards:
        sandbox.repair(settings, name)
        console.note(f"works again: {', '.join(forwards)}")
    if signals.resume(record.identity):
        console.note(f"pid {pid} was stopped by a signal: continued with SIGCONT")
    started = time.monotonic()
    if _wait_answer(component, record):
        return ""
    if not record.identity.alive():
        return f"pid {pid} exited"
    paused = _paused_dependency(settings, name)
    if paused:
        console.warn(f"{name} does not answer while {paused} is paused in the debugger")
        return ""
    seconds, url = time.monotonic() - started, health_of(component, record).url
    return f"pid {pid} was not ready within {seconds:.0f} s ({url})"


def _wait_answer(component: Component, record: Record) -> bool:
    """Wait until a component is ready.

    One that does not answer gets ANSWER_LIMIT, or the rest of the time for its start; one that
    answers that it is not ready gets the time for a start.
    """
    to_start = component.ready_timeout
    rest = min(to_start, record.since + to_start - time.time())
    health = health_of(component, record)
    silent_until = time.monotonic() + max(ANSWER_LIMIT, rest)
    reply: Answer = "none"

    def ready() -> bool:
        nonlocal reply
        reply = ports.answer(health)
        return reply == "ready"

    def may_become_ready() -> bool:
        in_time = reply == "not ready" or time.monotonic() < silent_until
        return in_time and record.identity.alive()

    return process.until(ready, may_become_ready, max(ANSWER_LIMIT, to_start))


def _paused_dependency(settings: Settings, name: str) -> str:
    """Return the name of a component that `name` needs and that is paused; empty if none is."""
    for needed in COMPONENTS[name].after:
        if journal.is_paused(process.load(settings.paths.run, needed)):
            return needed
        paused = _paused_dependency(settings, needed)
        if paused:
            return paused
    return ""
