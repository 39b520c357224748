"""Put a component under Delve: mode debug-attach or debug-exec.

`debug-attach` attaches to the process: argv, environment, working folder and pid do not change.
`debug-exec` restarts it as a child of Delve, for main() and start-up code, and checks in /proc that
argv and environment are the same.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tasks import delve
from tasks.build import recorded, source_text, store
from tasks.build.plan import plan_of
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
"""File below XDG_CONFIG_HOME that Delve reads; with `off` it collects no telemetry."""
LOAD_TIMEOUT = 60.0
"""Seconds for Delve to read the debug information of a binary (2-3 s are usual)."""
ADDED_BY_DELVE = frozenset({"CGO_CFLAGS", "PWD"})
"""Environment variables that Delve sets for a program that it starts."""


def enter(settings: Settings, record: Record, desired: Swap) -> Record:
    """Put a process under Delve; return the component's record once Delve answers.

    Raises Failure if Delve does not start or the process would not be the same.
    """
    files.write_if_changed(process.config_home(settings.paths.instance) / TELEMETRY, "off")
    _keep_source(settings, record)
    start = _attach if desired.mode == "debug-attach" else _execute
    return start(settings, record, desired)


def _keep_source(settings: Settings, record: Record) -> None:
    """Store the source text of the program, to find the statements of breakpoints after an edit."""
    module, binary = COMPONENTS[record.component].built_module(settings), Path(record.exe)
    if module and not source_text.is_kept(binary) and recorded.digests(settings, module).text:
        with suppress(Failure):  # without the text, a breakpoint is found by its line number
            plan = plan_of(settings, module)
            if store.followed(plan.path) == binary:
                source_text.remember(settings, binary, plan.sources)


def _attach(settings: Settings, record: Record, desired: Swap) -> Record:
    name = record.component
    argv = delve.attach_argv(
        tool_record.load_tool(settings, "delve").bin,
        record.identity.pid,
        listen=desired.listen,
        log=_delve_log(settings, name),
        check_go_version=check_go_version(settings, name),
    )
    if desired.hold:
        argv.remove("--continue")
    env = process.environment(f"dlv-{name}", settings.paths.instance, {})
    cwd, log = settings.paths.run / name, settings.paths.log(f"dlv-{name}")
    debugger = process.spawn(
        f"dlv-{name}", _with_any_user(argv, desired), env, cwd=cwd, log=log, fingerprint=""
    )
    _wait_ready(settings, name, desired, debugger)
    return _save_ready(settings, record, replace(desired, debugger=debugger.identity))


def _execute(settings: Settings, record: Record, desired: Swap) -> Record:
    """Restart the component under Delve and check that its argv and environment are the same."""
    name = record.component
    signals.stop(record.identity)
    argv = delve.exec_argv(
        tool_record.load_tool(settings, "delve").bin,
        Path(record.argv[0]),
        record.argv[1:],
        listen=desired.listen,
        log=_delve_log(settings, name),
        cwd=Path(record.cwd),
        stop_at_entry=desired.hold,
        check_go_version=check_go_version(settings, name),
    )
    debugger = _spawn_in_place(settings, _with_any_user(argv, desired), record, desired)
    _wait_ready(settings, name, desired, debugger)
    target = _debuggee(debugger.identity.pid, record)
    started = replace(record, identity=target, since=debugger.since)
    process.save(settings.paths.run, started)
    if not desired.hold:
        processes.wait_ready(processes.configured_component(settings, name), started)
    return _save_ready(settings, started, replace(desired, debugger=debugger.identity))


def _spawn_in_place(settings: Settings, argv: list[str], record: Record, desired: Swap) -> Record:
    """Start Delve where the component ran: on the host, in a container, or in the sandbox.

    In the sandbox, a port forward makes its port available on the host's loopback.
    """
    name, cwd, log = record.component, Path(record.cwd), Path(record.log)
    if COMPONENTS[name].in_sandbox(settings):
        sandbox.forward_port(settings, f"dlv-{name}", desired.port)
    spawn = processes.spawn_function(settings, name)
    return spawn(name, argv, record.env, cwd=cwd, log=log, fingerprint="")


def _with_any_user(argv: list[str], desired: Swap) -> list[str]:
    """Return argv with the flag that lets other users connect, if the swap allows it."""
    return [*argv[:3], "--only-same-user=false", *argv[3:]] if desired.any_user else argv


def _wait_ready(settings: Settings, name: str, desired: Swap, debugger: Record) -> None:
    """Write the debugger's identity to the journal, then wait until it answers."""
    journal.write(settings, name, replace(desired, debugger=debugger.identity))

    def output() -> str:
        return process.tail(Path(debugger.log), 8)

    alive = debugger.identity.alive
    with delve.wait_ready(desired.local, LOAD_TIMEOUT, alive, output) as client:
        if not desired.hold:
            client.wait_running(LOAD_TIMEOUT)


def _delve_log(settings: Settings, name: str) -> Path:
    """Return the log file of Delve; Delve truncates it at each start."""
    return settings.paths.run / name / "delve.log"


def _save_ready(settings: Settings, record: Record, swap: Swap) -> Record:
    debugged = process.with_mode(record, swap.mode)
    process.save(settings.paths.run, debugged)
    journal.write(settings, record.component, replace(swap, step="ready"))
    return debugged


def _debuggee(debugger: int, record: Record) -> Identity:
    """Return the process that Delve started.

    Raises Failure if its argv or environment differ from those of the process it replaces.
    """
    for pid in procfs.children(debugger):
        if not delve.tracer(pid):
            continue  # Delve has another child: a copy of itself that watches for its crashes
        argv = procfs.argv_of(pid)
        if argv != record.argv:
            raise Failure(
                f"{record.component} would run with different arguments: {argv}",
                "use --mode attach",
            )
        env = procfs.environ_of(pid)
        names = env.keys() | record.env.keys()
        different = {key for key in names if env.get(key) != record.env.get(key)}
        if different - ADDED_BY_DELVE:
            keys = ", ".join(sorted(different))
            raise Failure(
                f"{record.component} would run with different variables: {keys}",
                "use --mode attach",
            )
        identity = procfs.identify(pid)
        if identity is not None:
            return identity
    tail = process.tail(Path(record.log))
    raise Failure(f"{record.component} did not start under Delve\n{tail}", f"read {record.log}")
