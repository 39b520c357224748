"""Task status: mode, process and health of every component, as a table or as JSON; read-only."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from tasks.cli.task import ANSWER, OUTPUT, action
from tasks.cluster import tasks as cluster
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.debug import journal
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system import ports, process
from tasks.system.process import Record

COLUMNS = "{:<26}{:<14}{:<9}{:<10}{:<11}{:<8}{}"


@dataclass(frozen=True)
class Row:
    """The status of one component; the fields are also the keys of the JSON output."""

    name: str
    mode: str
    """normal, debug-attach, debug-exec or stopped."""
    pid: int | None
    uptime: int | None
    """Seconds since the start of the process."""
    health: str
    """ok, not ready, paused, unknown, or - when it does not run."""
    port: int | None
    """Its first port on the host."""
    debugger: str
    """The state of Delve as text."""
    argv: tuple[str, ...]
    log: str
    """The path of its log."""


def rows(settings: Settings) -> list[Row]:
    """Return a row for each component that runs or should run."""
    found = []
    for name in COMPONENTS:
        record, swap = process.load(settings.paths.run, name), journal.load(settings, name)
        log = str(settings.paths.log(name))
        if record is not None and record.alive():
            health, port = _health(settings, record)
            found.append(
                Row(
                    name,
                    journal.mode(swap),
                    record.identity.pid,
                    int(time.time() - record.since),
                    health,
                    port,
                    journal.describe(name, record, swap),
                    record.argv,
                    log,
                )
            )
        elif name in cluster.components_to_run(settings):
            debugger = journal.describe(name, record, swap)
            found.append(Row(name, "stopped", None, None, "-", None, debugger, (), log))
    return found


@action
def status(settings: Settings, output: str) -> None:
    """Print the status of every component, as a table or (output=json) as JSON."""
    found = rows(settings)
    if output == "json":
        console.say(json.dumps([asdict(row) for row in found], indent=1))
        return
    console.say(COLUMNS.format("component", "mode", "pid", "uptime", "health", "port", "debugger"))
    for row in found:
        uptime = "-" if row.uptime is None else console.duration(row.uptime)
        cells = (row.name, row.mode, row.pid or "-", uptime, row.health, row.port or "-")
        console.say(COLUMNS.format(*cells, row.debugger).rstrip())


def _health(settings: Settings, record: Record) -> tuple[str, int | None]:
    try:
        component = processes.desired_component(settings, record.component)
    except Failure:
        return "unknown", None
    health = COMPONENTS[record.component].health_of(component, record.argv)
    port = next(iter(COMPONENTS[record.component].host_ports(settings, component)), None)
    if journal.is_paused(record):
        return "paused", port
    return ("ok" if ports.healthy(health, timeout=3.0) else "not ready"), port


def task_status(settings: Settings) -> dict[str, Any]:
    """Return the task that prints the status of every component."""
    return {
        "doc": "show mode, pid, uptime, health and debugger of every component",
        "actions": [(status, [settings])],
        "uptodate": [False],
        "params": [OUTPUT],
        "meta": ANSWER,
    }
