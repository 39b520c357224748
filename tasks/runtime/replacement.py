"""Replace a running component; if the new process refuses to start, the old one runs again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.components.base import Component
from tasks.core.errors import Failure
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system import files, ports, process
from tasks.system.process import Record


def replace_process(
    settings: Settings, component: Component, old: Record
) -> tuple[Record, Failure | None]:
    """Stop a component's process and start the new one; return its record and no Failure.

    If the new process is not started, or exits before it is ready, the old one is started again
    with its files; then its record and the Failure of the new process are returned. Raises Failure
    when no process runs, and when the new one runs but does not become ready.
    """
    name = component.name
    ports.require_short(name, component.sockets)
    before = _contents(component.files)
    processes.stop(settings, name, old)
    try:
        return processes.start(settings, component), None
    except Failure as failure:
        new = process.load(settings.paths.run, name)
        if new is not None and new.alive():
            raise
        return _restore(settings, component, old, before, failure)


def restart(settings: Settings, record: Record) -> Record:
    """Start a component with its recorded argv and environment, and wait until it is ready.

    The settings of today can be wrong: they are used only to find out whether it is ready.
    """
    component = processes.configured_component(settings, record.component)
    return processes.launch(settings, component, record.argv, record.env, record.fingerprint)


def _restore(
    settings: Settings,
    component: Component,
    old: Record,
    before: Mapping[Path, bytes | None],
    failure: Failure,
) -> tuple[Record, Failure]:
    """Start the old process with its files; return its record and the complete Failure."""
    try:
        processes.stop(settings, component.name)
        for path, content in before.items():
            if content is None:
                files.remove(path)
            else:
                files.write(path, content)
        restored = processes.launch(settings, component, old.argv, old.env, old.fingerprint)
    except Failure as second:
        raise Failure(
            f"{failure.message}\nthe process before it does not start again: {second.message}",
            failure.hint,
        ) from failure
    return restored, Failure(
        f"{failure.message}\n{component.name} runs again as before, as pid {restored.identity.pid}",
        failure.hint,
    )


def _contents(paths: Iterable[Path]) -> dict[Path, bytes | None]:
    """Return the content of files; None for one that does not exist."""
    return {path: path.read_bytes() if path.is_file() else None for path in paths}
