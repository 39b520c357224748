"""Stage 7: put any component under the debugger, and back, without disturbing the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tasks import files, process, report, swap
from tasks.settings import Settings, current


@report.action
def debug(settings: Settings, name: str, mode: str, stop_at_entry: bool) -> None:
    """Put one component under Delve and say how to connect; nothing happens when it is there."""
    wanted = swap.request(settings, name, swap.as_mode(mode), stop_at_entry=stop_at_entry)
    with files.locked(settings.paths.run / f"{name}.lock"):
        journal = swap.load(settings, name)
        if journal is not None:
            alive = journal.debugger is not None and journal.debugger.alive()
            same = replace(journal, debugger=None) == replace(wanted, step="ready")
            if alive and same:
                report.note("is in the debugger already")
                _say_how(name, wanted)
                return
            swap.leave(settings, name)
        record = swap.enter(settings, name, wanted)
    report.note(f"pid {record.identity.pid}, {wanted.mode}")
    _say_how(name, wanted)


@report.action
def undebug(settings: Settings, name: str) -> None:
    """Give back a normal process with the very same arguments."""
    with files.locked(settings.paths.run / f"{name}.lock"):
        if swap.load(settings, name) is None:
            report.note("is not in the debugger")
            return
        before = process.load(settings.paths.run, name)
        record = swap.leave(settings, name)
    if record is None:
        report.note("it did not run")
    elif before is not None and before.identity == record.identity:
        report.note(f"pid {record.identity.pid} runs on, untouched")
    else:
        report.note(f"pid {record.identity.pid}, started with the same arguments")


def _say_how(name: str, wanted: swap.Swap) -> None:
    port = wanted.listen.rpartition(":")[2]
    report.say(f"  {name} waits for a client on {wanted.listen}")
    report.say(f"  terminal:   dlv connect {wanted.listen}    (leave with: exit -c)")
    report.say(f"  GoLand:     Go Remote, host 127.0.0.1, port {port}")
    report.say(f'  VS Code:    "mode": "remote", "debugAdapter": "dlv-dap", "port": {port}')
    report.say(f"  remote IDE: ssh -NL {port}:{wanted.listen} this-machine")
    report.say(f"  and back:   doit undebug:{name}")


def task_debug() -> Iterator[dict[str, Any]]:
    """Yield one task per component that puts it under Delve."""
    settings = current()
    yield {"name": None, "doc": "put a running component under Delve"}
    for name in swap.OFFSETS:
        yield {
            "name": name,
            "doc": f"put {name} under Delve on 127.0.0.1:{swap.port(settings, name)}",
            "actions": [(debug, [settings, name])],
            "task_dep": ["toolchain:delve"],
            "uptodate": [False],
            "params": [
                {
                    "name": "mode",
                    "long": "mode",
                    "default": "attach",
                    "choices": swap.modes(),
                    "help": "how to debug",
                },
                {
                    "name": "stop_at_entry",
                    "long": "stop-at-entry",
                    "type": bool,
                    "default": False,
                    "help": "with --mode exec: wait at the first instruction for a client",
                },
            ],
        }


def task_undebug() -> Iterator[dict[str, Any]]:
    """Yield one task per component that takes it out of Delve."""
    settings = current()
    yield {"name": None, "doc": "take a component out of Delve again"}
    for name in swap.OFFSETS:
        yield {
            "name": name,
            "doc": f"take {name} out of Delve again, with the same arguments",
            "actions": [(undebug, [settings, name])],
            "uptodate": [False],
        }
