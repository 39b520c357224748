"""The engine of the debug swap: attach to a component or run it under Delve, and back again.

Two ways in: `debug-attach` leaves the process alone, so that argv, environment, working folder and
pid stay what they are; `debug-exec` starts it again as a child of Delve, for main() and start-up
code. The way back goes by signals where it can: an editor that speaks DAP can make Delve's own
requests hang.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tasks import delve
from tasks.debugging import clients, journal
from tasks.debugging.journal import (
    OFFSETS,
    Swap,
    as_mode,
    describe,
    is_paused,
    load,
    mode,
    modes,
    port,
    request,
)  # fmt: skip
from tasks.debugging.preflight import check_go_version, require_possible
from tasks.failure import Failure
from tasks.node import sandbox
from tasks.running import launch
from tasks.settings import Settings
from tasks.system import files, firewall, process, procfs, signals
from tasks.system.process import Record
from tasks.system.procfs import Identity
from tasks.tools import tool

__all__ = [
    "OFFSETS", "Swap", "as_mode", "clear", "describe", "enter", "heal", "is_paused", "leave",
    "leave_for_restart", "load", "mode", "modes", "port", "request", "resume",
]  # fmt: skip

TELEMETRY = "go/telemetry/mode"
"""Read by Delve below XDG_CONFIG_HOME: `off` keeps it from collecting anything."""
LOAD = 60.0
"""Seconds Delve may take to read a binary's debug information (2-3 s are usual)."""
ADDED_BY_DELVE = frozenset({"CGO_CFLAGS", "PWD"})
KILL = ((signal.SIGKILL, 10.0),)


def enter(settings: Settings, name: str, wanted: Swap) -> Record:
    """Put a running component under the debugger. Raises Failure and restores it on any error."""
    files.write_if_changed(process.config_home(settings.paths.instance) / TELEMETRY, "off")
    record = process.load(settings.paths.run, name)
    if record is None or not record.alive():
        raise Failure(f"{name} does not run", "start the cluster first: doit up")
    require_possible(settings, name, record, wanted)
    journal.write(settings, name, wanted)
    try:
        if wanted.firewall:
            firewall.open_port(wanted.port)
        if wanted.mode == "debug-attach":
            return _attach(settings, name, record, wanted)
        return _execute(settings, name, record, wanted)
    except BaseException:
        with suppress(Failure):  # the first failure is the one to tell
            leave(settings, name)
        raise


def leave(settings: Settings, name: str) -> Record | None:
    """Take a component out of the debugger and give back a normal process, whatever is left of it.

    Returns its record, or None when it has none.
    """
    swap = load(settings, name)
    record = process.load(settings.paths.run, name)
    if swap is None:
        return record
    journal.write(settings, name, replace(swap, step="leaving"))
    if record is not None:
        if not _runs_on(settings, name, record, swap):
            _end(settings, name, record, swap)
            record = _restart(settings, record)
        record = process.with_mode(record, "normal")
        process.save(settings.paths.run, record)
    _over(settings, name, swap)
    return record


def heal(settings: Settings, name: str) -> bool:
    """Bring a component back whose swap was cut off or lost its debugger; True when it was."""
    if not journal.broken(settings, name):
        return False
    leave(settings, name)
    return True


def leave_for_restart(
    settings: Settings, name: str
) -> tuple[Swap, tuple[clients.Mark, ...]] | None:
    """Free a component that is about to be started again; return how it was being debugged."""
    swap = load(settings, name)
    if swap is None:
        return None
    marks = clients.collect(swap.local)
    clear(settings, name)
    return replace(swap, step="entering", debugger=None, hold=False), marks


def clear(settings: Settings, name: str) -> None:
    """End a debugged component together with its debugger."""
    swap = load(settings, name)
    if swap is not None:
        record = process.load(settings.paths.run, name)
        _end(settings, name, record, swap)
        _over(settings, name, swap)


def resume(settings: Settings, name: str) -> bool:
    """Clear every breakpoint of a component that stands still and let it go on; True if it did."""
    swap = load(settings, name)
    if swap is None or not is_paused(settings, name):
        return False
    with delve.Delve(swap.local) as client:
        client.clear_all()
        client.resume()
        client.wait_running(5.0)
    return True


def _over(settings: Settings, name: str, swap: Swap) -> None:
    if swap.firewall:
        firewall.close_port(swap.firewall)
    journal.remove(settings, name)


def _attach(settings: Settings, name: str, record: Record, wanted: Swap) -> Record:
    argv = delve.attach_argv(
        tool.load_tool(settings, "delve").bin,
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
    return _entered(settings, name, record, replace(wanted, debugger=debugger.identity))


def _execute(settings: Settings, name: str, record: Record, wanted: Swap) -> Record:
    """Start the component again under Delve and prove that it was started alike."""
    signals.stop(record.identity)
    argv = delve.exec_argv(
        tool.load_tool(settings, "delve").bin,
        Path(record.argv[0]),
        record.argv[1:],
        listen=wanted.listen,
        log=_delve_log(settings, name),
        cwd=Path(record.cwd),
        stop_at_entry=wanted.hold,
        check_go_version=check_go_version(settings, name),
    )
    debugger = _spawn_beside(settings, name, _serving(argv, wanted), record, wanted)
    _wait_ready(settings, name, wanted, debugger)
    target = _debuggee(debugger.identity.pid, record)
    started = replace(record, identity=target, since=debugger.since)
    process.save(settings.paths.run, started)
    if not wanted.hold:
        launch.wait_ready(settings, launch.wanted(settings, name), started)
    return _entered(settings, name, started, replace(wanted, debugger=debugger.identity))


def _spawn_beside(
    settings: Settings, name: str, argv: list[str], record: Record, wanted: Swap
) -> Record:
    """Start Delve where the component ran: on the host, or in the node's own namespaces.

    There its port is one of the sandbox; a relay brings it to the host's loopback.
    """
    cwd, log = Path(record.cwd), Path(record.log)
    if not sandbox.holds(settings, name):
        return process.spawn(name, argv, record.env, cwd=cwd, log=log, fingerprint="")
    sandbox.forward(settings, f"dlv-{name}", wanted.port)
    return sandbox.spawn(
        settings, name, tuple(argv), record.env, cwd=cwd, log=log, fingerprint=""
    )


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


def _entered(settings: Settings, name: str, record: Record, swap: Swap) -> Record:
    entered = process.with_mode(record, swap.mode)
    process.save(settings.paths.run, entered)
    journal.write(settings, name, replace(swap, step="ready"))
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


def _runs_on(settings: Settings, name: str, record: Record, swap: Swap) -> bool:
    """Make Delve let go; True when the very process runs on, clean, and need not be restarted.

    A process whose Delve died has its traps still in its text: it is never taken over.
    """
    debuggers = journal.debuggers(settings, name, swap)
    if not debuggers:
        return swap.debugger is None and record.alive() and not delve.tracer(record.identity.pid)
    if swap.mode == "debug-exec":
        return False  # Delve kills what it started, also when it is told to let go
    if not _let_go(swap, debuggers[0]):
        clients.drop(swap.port)
        _let_go(swap, debuggers[0])
    for debugger in debuggers:
        signals.stop(debugger, ((signal.SIGTERM, 3.0),))
    gone = not any(debugger.alive() for debugger in debuggers)
    return gone and record.alive() and not delve.tracer(record.identity.pid)


def _let_go(swap: Swap, debugger: Identity) -> bool:
    """Clear every breakpoint and detach; False when a client that speaks DAP stands in the way."""
    try:
        with delve.Delve(swap.local, timeout=3.0) as client:
            client.halt(timeout=3.0)
            client.clear_all()
            client.detach(kill=False)
    except delve.DelveTimeoutError:
        return False
    except Failure:
        pass  # not listening yet, or ended: a signal tells
    return signals.wait_gone(debugger, 1.0)


def _end(settings: Settings, name: str, record: Record | None, swap: Swap) -> None:
    """End a component by its own signals, then the Delve that would otherwise kill it."""
    debuggers = journal.debuggers(settings, name, swap)
    if record is not None:
        held = delve.paused(record.identity.pid)  # a signal would wait until it goes on
        signals.stop(record.identity, KILL if held else signals.LADDER)
    for debugger in debuggers:
        signals.stop(debugger, ((signal.SIGTERM, 2.0), *KILL))
    process.end_marked(process.mark(name, settings.paths.instance), KILL, ())


def _restart(settings: Settings, record: Record) -> Record:
    """Start a component again exactly as it was recorded, and wait until it is ready."""
    component = launch.wanted(settings, record.component)
    fresh = launch.spawn(
        settings, record.component, record.argv, record.env, record.fingerprint
    )
    launch.wait_ready(settings, component, fresh)
    return fresh
