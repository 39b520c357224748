"""Task status: mode, process and health of every component, as a table or as JSON; read-only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tasks.cli import interrupts
from tasks.cli.task import ANSWER, OUTPUT, action, option
from tasks.cluster import liveness
from tasks.cluster import tasks as cluster
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.debug import journal
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system import files, ports, process, procfs
from tasks.system.process import Record

LAST_WORDS = 5
"""Lines of the log that are shown of a component that hangs or died."""
WATCH_INTERVAL = 1.0
"""Seconds between two looks of --watch."""
COLUMNS = "{:<26}{:<14}{:<9}{:<10}{:<11}{:<8}{}"


@dataclass(frozen=True)
class Row:
    """The status of one component; the fields are also the keys of the JSON output."""

    name: str
    mode: str
    """normal, debug-attach, debug-exec, stopped (by doit) or died (by itself or a signal)."""
    pid: int | None
    uptime: int | None
    """Seconds since the start of the process."""
    health: str
    """ok, starting, not ready, hung, paused, unknown, or - when it does not run."""
    port: int | None
    """Its first port on the host."""
    debugger: str
    """The state of Delve as text."""
    argv: tuple[str, ...]
    log: str
    """The path of its log."""
    problem: str = ""
    """Why it hangs or what is broken, or how it died; empty when nothing is wrong."""
    since: float | None = None
    """When it hung or died, in epoch seconds; None when nothing is wrong or it is not known."""
    last_words: tuple[str, ...] = ()
    """The last lines in the log of a component that hangs or died."""


def rows(settings: Settings) -> list[Row]:
    """Return a row for each component that runs, died or should run."""
    found = []
    for name in COMPONENTS:
        record = process.load(settings.paths.run, name)
        if record is not None and record.alive():
            found.append(_running(settings, record))
        elif record is not None:
            found.append(_died(settings, record))
        elif name in cluster.components_to_run(settings):
            debugger = journal.describe(name, record, journal.load(settings, name))
            log = str(settings.paths.log(name))
            found.append(Row(name, "stopped", None, None, "-", None, debugger, (), log))
    return found


def _running(settings: Settings, record: Record) -> Row:
    name = record.component
    swap = journal.load(settings, name)
    health, port, problem = _health(settings, record)
    hangs = health == "hung"
    return Row(
        name,
        journal.mode(swap),
        record.identity.pid,
        int(time.time() - record.since),
        health,
        port,
        journal.describe(name, record, swap),
        record.argv,
        str(settings.paths.log(name)),
        problem,
        _hung_since(record) if hangs else None,
        process.last_lines(Path(record.log), LAST_WORDS) if hangs else (),
    )


def _died(settings: Settings, record: Record) -> Row:
    name, swap = record.component, journal.load(settings, record.component)
    ended = liveness.how_it_died(settings, record)
    return Row(
        name,
        "died",
        None,
        None,
        "-",
        None,
        journal.describe(name, record, swap),
        (),
        record.log,
        str(ended),
        ended.at,
        process.last_lines(Path(record.log), LAST_WORDS),
    )


@action
def status(settings: Settings, output: str, watch: bool) -> None:
    """Print the status of every component, as a table or (output=json) as JSON.

    With `watch`, it prints it again when it has changed, until Ctrl-C. On a terminal it redraws the
    screen. In JSON, each document is one line.
    """
    if not watch:
        found = rows(settings)
        is_json = output == "json"
        console.say(
            json.dumps([asdict(row) for row in found], indent=1) if is_json else _text(found)
        )
        return
    interrupts.exit_quietly()
    redraws = console.live(sys.stdout) and output != "json"
    before = None
    while True:
        found = rows(settings)
        state = [replace(row, uptime=None) for row in found]
        if redraws:
            console.redraw(_text(found))
        elif state != before:
            is_json = output == "json"
            text = json.dumps([asdict(row) for row in found]) if is_json else _text(found)
            console.say(text if is_json else f"{time.strftime('%H:%M:%S')}\n{text}\n")
        before = state
        time.sleep(WATCH_INTERVAL)


def _text(found: Sequence[Row]) -> str:
    """Return rows as a table, and after it the problems."""
    lines = [COLUMNS.format("component", "mode", "pid", "uptime", "health", "port", "debugger")]
    for row in found:
        uptime = "-" if row.uptime is None else console.duration(row.uptime)
        cells = (row.name, row.mode, row.pid or "-", uptime, row.health, row.port or "-")
        lines.append(COLUMNS.format(*cells, row.debugger).rstrip())
    for row in found:
        if row.problem:
            lines.append(f"\n{row.name} {row.problem}; to start it again, run: doit up")
            lines += [f"  | {line}" for line in row.last_words]
    return "\n".join(lines)


def _health(settings: Settings, record: Record) -> tuple[str, int | None, str]:
    """Return the health of a running component, its first port on the host, and its problem."""
    name, pid = record.component, record.identity.pid
    try:
        component = processes.desired_component(settings, name)
    except Failure:
        return "unknown", None, ""
    port = next(iter(COMPONENTS[name].host_ports(settings, component)), None)
    if journal.is_paused(record):
        return "paused", port, ""
    if procfs.is_stopped(pid):
        return "hung", port, f"hangs{_for(record)}: a signal stopped pid {pid} (SIGSTOP)"
    broken = liveness.broken_helpers(settings, record)
    if broken:
        return "not ready", port, f"cannot be reached or connect: {_list(broken)}"
    check = liveness.health_of(component, record)
    reply = ports.answer(check, timeout=3.0)
    if reply == "ready":
        return "ok", port, ""
    if files.is_locked(settings.paths.run / f"{name}.lock"):
        return "starting", port, ""
    age = time.time() - record.since
    if reply == "not ready" or age < component.ready_timeout or journal.load(settings, name):
        return "not ready", port, ""
    return "hung", port, f"hangs{_for(record)}: no answer from {check.url}"


def _list(problems: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {problem}" for name, problem in problems.items())


def _hung_since(record: Record) -> float | None:
    """Return when a component last did something.

    For a process that a signal stopped, that is when it last ran. Otherwise threads of the Go
    runtime run on, and its last line in the log is the last sign of work.
    """
    pid = record.identity.pid
    seconds = journal.paused_seconds(pid) if procfs.is_stopped(pid) else None
    if seconds is not None:
        return time.time() - seconds
    log = Path(record.log)
    return log.stat().st_mtime if log.is_file() else None


def _for(record: Record) -> str:
    since = _hung_since(record)
    if since is None:
        return ""
    ago = console.duration(max(0.0, time.time() - since))
    return f" since about {time.strftime('%H:%M:%S', time.localtime(since))} ({ago})"


def task_status(settings: Settings) -> dict[str, Any]:
    """Return the task that prints the status of every component."""
    return {
        "doc": "show mode, pid, uptime, health and debugger of every component",
        "actions": [(status, [settings])],
        "uptodate": [False],
        "params": [
            OUTPUT,
            option("watch", "print it again when it has changed, until Ctrl-C", short="w"),
        ],
        "meta": ANSWER,
    }
