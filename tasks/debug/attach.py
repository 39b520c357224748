"""The two ways into the debugger.

`debug-attach` leaves the process alone, so that argv, environment, working folder and pid stay what
they are; `debug-exec` starts it again as a child of Delve, for main() and start-up code, and proves
through /proc that it was started alike.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tasks import delve
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.debug import journal
from tasks.debug.journal import Swap
from tasks.debug.preflight import check_go_version
from tasks.kubernetes import tool_record
from tasks.runtime import processes, sandbox
from tasks.settings.load import Settings
from tasks.system import files, process, procfs, signals
from tasks.system.process import Record
from tasks.system.procfs import Identity

TELEMETRY = "go/telemetry/mode"
"""Read by Delve below XDG_CONFIG_HOME: `off` keeps it from collecting anything."""
LOAD = 60.0
"""Seconds Delve may take to read a binary's debug information (2-3 s are usual)."""
ADDED_BY_DELVE = frozenset({"CGO_CFLAGS", "PWD"})


def enter(settings: Settings, record: Record, wanted: Swap) -> Record:
    """Put a process under Delve as wanted; return the component's record once Delve answers."""
    files.write_if_changed(process.config_home(settings.paths.instance) / TELEMETRY, "off")
    way = _attach if wanted.mode == "debug-attach" else _execute
    return way(settings, record, wanted)


def _attach(settings: Settings, record: Record, wanted: Swap) -> Record:
    name = record.component
    argv = delve.attach_argv(
        tool_record.load_tool(settings, "delve").bin,
        record.identity.pid,
        listen=wanted.listen,
        log=_delve_log(settings, name),
        check_go_version=check_go_version(settings, name),
    )
    if wanted.hold:
        argv.remove("--continue")
    env = process.environment(f"dlv-{name}", settings.paths.instance, {})
    cwd, log = settings.paths.run / name, settings.paths.log(f"dlv-{name}")
    debugger = process.spawn(
        f"dlv-{name}", _serving(argv, wanted), env, cwd=cwd, log=log, fingerprint=""
    )
    _wait_ready(settings, name, wanted, debugger)
    return _entered(settings, record, replace(wanted, debugger=debugger.identity))


def _execute(settings: Settings, record: Record, wanted: Swap) -> Record:
    """Start the component again under Delve and prove that it was started alike."""
    name = record.component
    signals.stop(record.identity)
    argv = delve.exec_argv(
        tool_record.load_tool(settings, "delve").bin,
        Path(record.argv[0]),
        record.argv[1:],
        listen=wanted.listen,
        log=_delve_log(settings, name),
        cwd=Path(record.cwd),
        stop_at_entry=wanted.hold,
        check_go_version=check_go_version(settings, name),
    )
    debugger = _spawn_beside(settings, _serving(argv, wanted), record, wanted)
    _wait_ready(settings, name, wanted, debugger)
    target = _debuggee(debugger.identity.pid, record)
    started = replace(record, identity=target, since=debugger.since)
    process.save(settings.paths.run, started)
    if not wanted.hold:
        processes.wait_ready(processes.desired_component(settings, name), started)
    return _entered(settings, started, replace(wanted, debugger=debugger.identity))


def _spawn_beside(settings: Settings, argv: list[str], record: Record, wanted: Swap) -> Record:
    """Start Delve where the component ran: on the host, in a container, or in the sandbox.

    There its port is one of the sandbox; a relay brings it to the host's loopback.
    """
    name, cwd, log = record.component, Path(record.cwd), Path(record.log)
    if COMPONENTS[name].in_sandbox(settings):
        sandbox.forward_port(settings, f"dlv-{name}", wanted.port)
    spawn = processes.spawn_function(settings, name)
    return spawn(name, argv, record.env, cwd=cwd, log=log, fingerprint="")


def _serving(argv: list[str], wanted: Swap) -> list[str]:
    """Add who may connect: only the same user, unless the IDE runs as another one."""
    return [*argv[:3], "--only-same-user=false", *argv[3:]] if wanted.any_user else argv


def _wait_ready(settings: Settings, name: str, wanted: Swap, debugger: Record) -> None:
    """Write the debugger's identity down, then wait until it answers."""
    journal.write(settings, name, replace(wanted, debugger=debugger.identity))

    def said() -> str:
        return process.tail(Path(debugger.log), 8)

    with delve.wait_ready(wanted.local, LOAD, debugger.identity.alive, said) as client:
        if not wanted.hold:
            client.wait_running(LOAD)


def _delve_log(settings: Settings, name: str) -> Path:
    """Return where Delve writes its own words; it starts the file anew every time."""
    return settings.paths.run / name / "delve.log"


def _entered(settings: Settings, record: Record, swap: Swap) -> Record:
    entered = process.with_mode(record, swap.mode)
    process.save(settings.paths.run, entered)
    journal.write(settings, record.component, replace(swap, step="ready"))
    return entered


def _debuggee(debugger: int, record: Record) -> Identity:
    """Return the process Delve started, after comparing it with the one it replaces."""
    for pid in procfs.children(debugger):
        if not delve.tracer(pid):
            continue  # Delve's other child is itself once more, watching for its own crashes
        argv = procfs.argv_of(pid)
        if argv != record.argv:
            raise Failure(f"{record.component} would run with other arguments: {argv}")
        env = procfs.environ_of(pid)
        names = env.keys() | record.env.keys()
        differ = {key for key in names if env.get(key) != record.env.get(key)}
        if differ - ADDED_BY_DELVE:
            raise Failure(f"{record.component} would run with another {', '.join(sorted(differ))}")
        identity = procfs.identify(pid)
        if identity is not None:
            return identity
    said = process.tail(Path(record.log))
    raise Failure(f"{record.component} did not start under Delve\n{said}", f"read {record.log}")
