"""The engine of the debug swap: attach to a component or run it under Delve, and back again.

A journal is written before each step, so that whatever dies in between, `status` tells the truth
and `leave` finds its way back. Two ways in: `debug-attach` leaves the process alone, so that argv,
environment, working folder and pid stay what they are; `debug-exec` starts it again as a child of
Delve, for main() and start-up code.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, cast

from tasks import compiler, delve, elf, files, launch, ports, process, tool
from tasks.build import load_binary
from tasks.components.registry import COMPONENTS
from tasks.failure import Failure
from tasks.process import Identity, Mode, Record
from tasks.settings import Settings

Step = Literal["entering", "ready", "leaving"]
OFFSETS = {
    "kube-apiserver": 9,
    "kube-controller-manager": 8,
    "kube-scheduler": 7,
    "kubelet": 6,
    "kube-proxy": 5,
}
"""Delve port of a component, counted from debug.base_port; kube-apiserver's is the guide's."""
TELEMETRY = "go/telemetry/mode"
"""Read by Delve below XDG_CONFIG_HOME: `off` keeps it from collecting anything."""
LOAD = 60.0
"""Seconds Delve may take to read a binary's debug information (2-3 s are usual)."""
ADDED_BY_DELVE = frozenset({"CGO_CFLAGS", "PWD"})


@dataclass(frozen=True)
class Swap:
    """The journal of one swap: what is wanted, how far it came, and the debugger's identity."""

    mode: Mode
    listen: str
    stop_at_entry: bool = False
    step: Step = "entering"
    debugger: Identity | None = None


def request(settings: Settings, name: str, mode: Mode, *, stop_at_entry: bool = False) -> Swap:
    """Return the swap a user asks for, on the component's own port."""
    return Swap(mode, f"127.0.0.1:{port(settings, name)}", stop_at_entry)


def port(settings: Settings, name: str) -> int:
    """Return the Delve port of a component: always the same, so that editors can remember it."""
    return settings.debug.base_port + OFFSETS[name]


def load(settings: Settings, name: str) -> Swap | None:
    """Return a component's journal, or None when it is not being debugged."""
    value = files.read_json(_journal(settings, name))
    if value is None:
        return None
    debugger = value.pop("debugger")
    return Swap(**value, debugger=Identity(**debugger) if debugger else None)


def enter(settings: Settings, name: str, wanted: Swap) -> Record:
    """Put a running component under the debugger. Raises Failure and restores it on any error."""
    files.write_if_changed(process.config_home(settings.paths.instance) / TELEMETRY, "off")
    record = process.load(settings.paths.run, name)
    if record is None or not record.alive():
        raise Failure(f"{name} does not run", "start the cluster first: doit up")
    _require_possible(settings, name, record, wanted)
    _write(settings, name, wanted)
    try:
        if wanted.mode == "debug-attach":
            record = _attach(settings, name, record, wanted)
        else:
            record = _execute(settings, name, record, wanted)
    except BaseException:
        leave(settings, name)
        raise
    return record


def leave(settings: Settings, name: str) -> Record | None:
    """Take a component out of the debugger and give back a normal process, whatever is left of it.

    Returns its record, or None when it has none.
    """
    journal = load(settings, name)
    record = process.load(settings.paths.run, name)
    if journal is None:
        return record
    _write(settings, name, replace(journal, step="leaving"))
    if record is not None:
        if journal.mode == "debug-attach":
            kept = _detach(settings, name, record, journal)
            record = process.with_mode(record, "normal") if kept else _restart(settings, record)
        else:
            _end_executed(settings, name, record, journal)
            record = _restart(settings, record)
        process.save(settings.paths.run, record)
    _journal(settings, name).unlink(missing_ok=True)
    return record


def leave_for_restart(settings: Settings, name: str) -> Swap | None:
    """Free a component that is about to be started again; return how it was being debugged."""
    journal = load(settings, name)
    if journal is not None:
        clear(settings, name)
        return replace(journal, step="entering", debugger=None)
    return None


def clear(settings: Settings, name: str) -> None:
    """End a component's debugger, and the component with it where it cannot go on alone."""
    journal = load(settings, name)
    if journal is None:
        return
    record = process.load(settings.paths.run, name)
    if record is not None:
        process.stop(record.identity)
    _end_debugger(settings, name, journal)
    _journal(settings, name).unlink(missing_ok=True)


def mode(settings: Settings, record: Record) -> str:
    """Return how a component runs, in one word, as the processes themselves tell it."""
    journal = load(settings, record.component)
    if journal is None:
        return "normal"
    alive = journal.debugger is not None and journal.debugger.alive()
    return journal.mode if alive else f"{journal.mode}?"


def is_paused(settings: Settings, name: str) -> bool:
    """Tell whether a component stands still at this moment, without touching it."""
    record = process.load(settings.paths.run, name)
    return record is not None and record.alive() and delve.paused(record.identity.pid)


def describe(settings: Settings, name: str) -> str:
    """Say where a debugged component stands, without halting it."""
    journal = load(settings, name)
    if journal is None:
        return ""
    if journal.debugger is None or not journal.debugger.alive():
        return f"its debugger is gone: doit undebug:{name}"
    if not is_paused(settings, name):
        return f"{journal.listen} running"
    with suppress(Failure), delve.Delve(journal.listen, timeout=2.0) as client:
        stop = client.state().stop
        if stop is not None:
            return f"{journal.listen} paused at {stop.file}:{stop.line} in {stop.function}"
    return f"{journal.listen} paused"


def _journal(settings: Settings, name: str) -> Path:
    return settings.paths.swap / f"{name}.json"


def _write(settings: Settings, name: str, journal: Swap) -> None:
    files.write_json(_journal(settings, name), asdict(journal), 0o600)


def _require_possible(settings: Settings, name: str, record: Record, wanted: Swap) -> None:
    """Refuse, before anything is touched, what is known not to work."""
    tracer = delve.tracer(record.identity.pid)
    if tracer:
        raise Failure(
            f"{name} is already being traced by {ports.describe(tracer)}",
            "end that debugger first",
        )
    ports.require_free(f"the debugger of {name}", [int(wanted.listen.rpartition(":")[2])])
    elf.prove_debuggable(Path(record.exe))
    _check_go_version(settings, name)
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    restricted = scope.exists() and scope.read_text().strip() != "0"
    if wanted.mode == "debug-attach" and os.geteuid() and restricted:
        raise Failure(
            f"this kernel forbids to attach to {name} (yama ptrace_scope)",
            f"use: doit debug:{name} --mode exec; or as root: sysctl kernel.yama.ptrace_scope=0",
        )


def _check_go_version(settings: Settings, name: str) -> bool:
    """Tell whether Delve may check the target's Go version: not below its range.

    Delve works on Go 1.15 and later when told not to check; above its range it does not.
    """
    module = COMPONENTS[name].module
    if module is None:
        raise Failure(f"{name} is not built from the Kubernetes source", "debug another component")
    value = files.read_json(settings.paths.tool("delve")) or {}
    built = compiler.go_minor(load_binary(settings, module).go)
    if built > compiler.go_minor(str(value.get("max_go", "99.0"))):
        raise Failure(
            f"Delve {value['version']} knows Go up to {value['max_go']},"
            f" but {name} was built by Go {built[0]}.{built[1]}",
            "doit forget toolchain:delve, then doit toolchain:delve takes a newer one",
        )
    return built >= compiler.go_minor(str(value.get("min_go", "0.0")))


def _attach(settings: Settings, name: str, record: Record, wanted: Swap) -> Record:
    dlv = tool.load_tool(settings, "delve").bin
    log = settings.paths.log(f"dlv-{name}")
    argv = delve.attach_argv(
        dlv,
        record.identity.pid,
        listen=wanted.listen,
        log=_delve_log(settings, name),
        check_go_version=_check_go_version(settings, name),
    )
    env = process.environment(f"dlv-{name}", settings.paths.instance, {})
    cwd = settings.paths.run / name
    debugger = process.spawn(f"dlv-{name}", argv, env, cwd=cwd, log=log, fingerprint="")
    _wait_ready(settings, name, wanted, debugger)
    return _entered(settings, name, record, replace(wanted, debugger=debugger.identity))


def _execute(settings: Settings, name: str, record: Record, wanted: Swap) -> Record:
    """Start the component again under Delve and prove that it was started alike."""
    process.stop(record.identity)
    argv = delve.exec_argv(
        tool.load_tool(settings, "delve").bin,
        Path(record.argv[0]),
        record.argv[1:],
        listen=wanted.listen,
        log=_delve_log(settings, name),
        cwd=Path(record.cwd),
        stop_at_entry=wanted.stop_at_entry,
        check_go_version=_check_go_version(settings, name),
    )
    cwd, log = Path(record.cwd), Path(record.log)
    debugger = process.spawn(name, argv, record.env, cwd=cwd, log=log, fingerprint="")
    _wait_ready(settings, name, wanted, debugger)
    target = _debuggee(debugger.identity.pid, record)
    started = replace(record, identity=target, since=debugger.since)
    process.save(settings.paths.run, started)
    if not wanted.stop_at_entry:
        launch.wait_ready(settings, launch.wanted(settings, name), started)
    return _entered(settings, name, started, replace(wanted, debugger=debugger.identity))


def _wait_ready(settings: Settings, name: str, wanted: Swap, debugger: Record) -> None:
    """Write the debugger's identity down, then wait until it answers."""
    _write(settings, name, replace(wanted, debugger=debugger.identity))

    def said() -> str:
        return process.tail(Path(debugger.log), 8)

    with delve.wait_ready(wanted.listen, LOAD, debugger.identity.alive, said) as client:
        if not wanted.stop_at_entry:
            client.wait_running(LOAD)


def _delve_log(settings: Settings, name: str) -> Path:
    """Return where Delve writes its own words; it starts the file anew every time."""
    return settings.paths.run / name / "delve.log"


def _entered(settings: Settings, name: str, record: Record, journal: Swap) -> Record:
    entered = process.with_mode(record, journal.mode)
    process.save(settings.paths.run, entered)
    _write(settings, name, replace(journal, step="ready"))
    return entered


def _debuggee(debugger: int, record: Record) -> Identity:
    """Return the process Delve started, after comparing it with the one it replaces."""
    for pid in process.children(debugger):
        if not delve.tracer(pid):
            continue  # Delve's other child is itself once more, watching for its own crashes
        argv = process.argv_of(pid)
        if argv != record.argv:
            raise Failure(f"{record.component} would run with other arguments: {argv}")
        env = process.environ_of(pid)
        names = env.keys() | record.env.keys()
        differ = {key for key in names if env.get(key) != record.env.get(key)}
        if differ - ADDED_BY_DELVE:
            raise Failure(f"{record.component} would run with another {', '.join(sorted(differ))}")
        identity = process.identify(pid)
        if identity is not None:
            return identity
    said = process.tail(Path(record.log))
    raise Failure(f"{record.component} did not start under Delve\n{said}", f"read {record.log}")


def _detach(settings: Settings, name: str, record: Record, journal: Swap) -> bool:
    """Make Delve let go of the process; True when it runs on, clean, and need not be restarted."""
    debugger = journal.debugger
    if debugger is not None and debugger.alive():
        with suppress(Failure), delve.Delve(journal.listen, timeout=3.0) as client:
            client.halt(timeout=3.0)
            client.clear_all()
            client.detach(kill=False)
        if not process.wait_gone(debugger, 3.0):
            process.stop(debugger, ((15, 3.0),))
        clean = not debugger.alive()
    else:
        # Delve died: if breakpoints were set, their traps are still in the program's text.
        clean = journal.step == "entering"
    kept = clean and record.alive() and not delve.tracer(record.identity.pid)
    if not kept:
        process.stop(record.identity)
        _end_debugger(settings, name, journal)
    return kept


def _end_executed(settings: Settings, name: str, record: Record, journal: Swap) -> None:
    """End the component first, by its own signals, then the Delve that would otherwise kill it."""
    process.stop(record.identity, process.LADDER)
    _end_debugger(settings, name, journal)
    for orphan in process.marked(process.mark(name, settings.paths.instance)):
        process.stop(orphan)


def _end_debugger(settings: Settings, name: str, journal: Swap) -> None:
    marked = process.marked(process.mark(f"dlv-{name}", settings.paths.instance))
    debuggers = [journal.debugger] if journal.debugger else []
    for identity in [*debuggers, *marked]:
        process.stop(identity, ((15, 2.0), (9, 5.0)))


def _restart(settings: Settings, record: Record) -> Record:
    """Start a component again exactly as it was recorded, and wait until it is ready."""
    component = launch.wanted(settings, record.component)
    fresh = launch.spawn(
        settings, record.component, record.argv, record.env, record.fingerprint
    )
    launch.wait_ready(settings, component, fresh)
    return fresh


def modes() -> Sequence[tuple[str, str]]:
    """Return the modes a user can choose, with their meaning."""
    return (
        ("attach", "leave the process alone and trace it"),
        ("exec", "start it again under Delve, for main() and start-up code"),
    )


def as_mode(word: str) -> Mode:
    """Return the mode a user's word means."""
    return cast("Mode", f"debug-{word}")
