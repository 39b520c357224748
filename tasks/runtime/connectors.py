"""Connectors of the control plane to the sandbox: start, keep and stop them.

Each component on the host that connects to pods and services runs under connect_filter.py and has a
connector of its own (connector.py), which exits with it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tasks.components.connections import NO_SANDBOX, sandbox_networks
from tasks.components.registry import COMPONENTS
from tasks.core.doit_run import once_per_run
from tasks.core.errors import Failure
from tasks.runtime import connector
from tasks.runtime.sandbox import INIT
from tasks.settings.load import Settings
from tasks.system import exits, process, procfs, signals
from tasks.system.process import Record
from tasks.system.run import run

CAP_SYS_ADMIN = 21
_FILTER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("connect_filter.py")))
_CONNECTOR = (sys.executable, "-I", "-S", str(Path(__file__).with_name("connector.py")))


@once_per_run
def why_impossible() -> str:
    """Return why processes of this user cannot connect to a sandbox; empty if they can."""
    capabilities = int(procfs.status(Path("/proc/self"), "CapEff") or "0", 16)
    if os.geteuid() or not capabilities >> CAP_SYS_ADMIN & 1:
        return NO_SANDBOX
    result = run(*_FILTER, check=False, timeout=60)
    return (result.tail(1) or "seccomp is not available") if result.code else ""


def networks(settings: Settings, name: str) -> tuple[str, ...]:
    """Return the networks to which a component connects inside the sandbox; empty for none."""
    connects = "connections" in COMPONENTS[name].host_queries and settings.node.sandbox
    return sandbox_networks(settings) if connects and not why_impossible() else ()


def connector_name(name: str) -> str:
    """Return the name of the connector of a component: of its record, log and mark."""
    return f"connector-{name}"


def spawn(
    settings: Settings,
    component: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path,
    log: Path,
    fingerprint: str,
) -> Record:
    """Start a component on the host with a connector to the sandbox; return its record.

    Raises Failure when its program cannot be executed.
    """
    if shutil.which(argv[0]) is None:
        raise Failure(f"cannot start {component}: {argv[0]} is not an executable file")
    started = process.spawn(
        component,
        (*_FILTER, *argv),
        env,
        cwd=cwd,
        log=log,
        fingerprint=fingerprint,
        umask=COMPONENTS[component].umask,
        exit_file=exits.path(settings.paths.run, component),
    )
    pid = started.identity.pid

    def replaced() -> bool:
        shown = procfs.argv_of(pid)
        return bool(shown) and shown[: len(_FILTER)] != _FILTER

    process.until(replaced, started.identity.alive, 30.0, every=0.002)
    exe = procfs.executable(pid) or str(Path(argv[0]).resolve())
    _start(settings, component, pid)
    return replace(started, argv=tuple(argv), exe=exe)


def repair(settings: Settings, record: Record) -> Mapping[str, str]:
    """Start the connector of a component again if it does not work; return it with its problem."""
    found = broken(settings, record)
    if found:
        _start(settings, record.component, record.identity.pid)
    return found


def broken(settings: Settings, record: Record) -> Mapping[str, str]:
    """Return the connector that a component needs and that does not work, with its problem.

    A component that an older stepkube started needs none.
    """
    if not networks(settings, record.component):
        return {}
    name = connector_name(record.component)
    found = process.load(settings.paths.run, name)
    if connector.listener_number(record.identity.pid) is None:
        return {}
    if found is None or not found.alive():
        return {name: "does not run"}
    return {name: "was stopped by a signal"} if procfs.is_stopped(found.identity.pid) else {}


def stop(settings: Settings, name: str) -> None:
    """Stop the connector of a stopped component, which exits by itself too."""
    process.stop_marked(
        process.mark(connector_name(name), settings.paths.instance), signals.LADDER, ()
    )
    process.forget(settings.paths.run, connector_name(name))


def _start(settings: Settings, name: str, pid: int) -> None:
    """Start the connector of a process; until it runs, the process waits in connect(2)."""
    stop(settings, name)
    paths, own = settings.paths, connector_name(name)
    argv = (
        *_CONNECTOR,
        str(pid),
        str(process.record_path(paths.run, INIT)),
        *networks(settings, name),
    )
    env = process.environment(own, paths.instance, {})
    record = process.spawn(own, argv, env, cwd=paths.run, log=paths.log(own), fingerprint="")
    process.save(paths.run, record)
