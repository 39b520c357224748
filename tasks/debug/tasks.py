"""Tasks debug, undebug, resume: put a component under Delve, take it out, end its pause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.cli.task import action, option
from tasks.components import registry
from tasks.components.base import Context
from tasks.core import console, doit_run
from tasks.core.errors import Failure
from tasks.debug import preflight, swap
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import prerequisites
from tasks.settings.load import Settings
from tasks.system import files, firewall, process


@action
def debug(
    settings: Settings,
    name: str,
    *,
    mode: str,
    stop_at_entry: bool,
    wait_client: bool,
    listen: str,
    allow_remote: bool,
    open_firewall: bool,
    any_user: bool,
) -> None:
    """Put a component under Delve, unless it is already, and print how to connect."""
    if stop_at_entry and mode != "exec":
        raise Failure(
            "--stop-at-entry: with --mode attach the process is already past its entry point",
            "add --mode exec, or use --wait-client",
        )
    _require_group_possible(settings, name)
    desired = swap.request(settings, name, swap.as_mode(mode), hold=stop_at_entry or wait_client)
    address = preflight.listen_address(listen, desired.listen, allow_remote=allow_remote)
    desired = replace(desired, listen=address, any_user=any_user)
    if open_firewall:
        if not allow_remote:
            raise Failure("--open-firewall: Delve listens on loopback only", "add --allow-remote")
        desired = replace(desired, firewall=firewall.close_command(desired.port))
    with files.locked(settings.paths.run / f"{name}.lock"):
        existing = swap.load(settings, name)
        if existing is not None:
            alive = existing.debugger is not None and existing.debugger.alive()
            if alive and _has_same_options(existing, desired):
                console.note("is already in the debugger")
                _print_connections(settings, name, desired)
                return
            swap.leave(settings, name)
        record = swap.enter(settings, swap.require_running(settings, name), desired)
    console.note(f"pid {record.identity.pid}, {desired.mode}")
    _print_connections(settings, name, desired)


@action
def undebug(settings: Settings, name: str) -> None:
    """Take a component out of Delve; its arguments stay the same."""
    with files.locked(settings.paths.run / f"{name}.lock"):
        if swap.load(settings, name) is None:
            console.note("is not in the debugger")
            return
        before = process.load(settings.paths.run, name)
        record = swap.leave(settings, name)
    if record is None:
        console.note("was not running")
    elif before is not None and before.identity == record.identity:
        console.note(f"pid {record.identity.pid} continues, not restarted")
    else:
        console.note(f"pid {record.identity.pid}, restarted with the same arguments")


@action
def resume(settings: Settings, name: str) -> None:
    """Clear all breakpoints of a paused component and resume it."""
    if swap.load(settings, name) is None:
        if doit_run.current().is_selected("resume"):
            return
        raise Failure(f"{name} is not in the debugger", f"run: doit debug:{name}")
    resumed = swap.resume(settings, name)
    console.note("resumed, breakpoints cleared" if resumed else "is not paused")


@action
def require_cluster(settings: Settings) -> None:
    """Raise Failure if components of this run cannot be debugged, because they do not run.

    It runs before Delve is built, and before the first component of a group is changed. Mode exec
    of one component needs only a cluster, not the component.
    """
    run = doit_run.current()
    tasks = (*run.selected_with_dependencies("debug:"), *run.selected_with_dependencies("break:"))
    names = [name.partition(":")[2] for name in tasks]
    running = [name for name in registry.COMPONENTS if _is_running(settings, name)]
    if not running:
        raise Failure(f"the cluster {settings.name} is not running", "run: doit up")
    exec_mode = [
        name for name in names if run.options.get(f"debug:{name}", {}).get("mode") == "exec"
    ]
    stopped = [name for name in names if name not in running and name not in exec_mode]
    if stopped:
        verb = "is" if len(stopped) == 1 else "are"
        raise Failure(f"{', '.join(stopped)} {verb} not running", "run: doit up")


def _is_running(settings: Settings, name: str) -> bool:
    record = process.load(settings.paths.run, name)
    return record is not None and record.alive()


def _require_group_possible(settings: Settings, first: str) -> None:
    """Raise Failure if one of several components cannot be debugged, before the first changes."""
    run = doit_run.current()
    names = [name.partition(":")[2] for name in run.selected_with_dependencies("debug:")]
    for name in names if run.is_selected("debug") and first == names[0] else ():
        if swap.load(settings, name) is None:
            record = swap.require_running(settings, name)
            desired = swap.request(settings, name, "debug-attach")
            preflight.require_possible(settings, record, desired)


def _has_same_options(existing: swap.Swap, desired: swap.Swap) -> bool:
    """Return whether an existing swap is complete and has the desired options."""
    return (existing.step, existing.mode, existing.listen, existing.any_user) == (
        "ready",
        desired.mode,
        desired.listen,
        desired.any_user,
    )


def _print_connections(settings: Settings, name: str, desired: swap.Swap) -> None:
    """Print how to connect to Delve, and warnings about who else can connect."""
    port, local = desired.port, desired.local
    if local != desired.listen or not local.startswith(("127.", "[::1]")):
        console.warn(
            f"Delve listens on {desired.listen} without a password: anyone who can connect to this"
            f" port can run code as you; to stop it, run: doit undebug:{name}"
        )
    if desired.any_user:
        console.warn("every user of this machine can connect to this port and run code as you")
    paused = ", paused until a client resumes it" if desired.hold else ""
    console.say(f"  {name} waits for a client on {desired.listen}{paused}")
    console.say(f"  terminal:   dlv connect {local}    (leave with: exit -c)")
    console.say(f"  GoLand:     Go Remote, host 127.0.0.1, port {port}")
    console.say(f'  VS Code:    "mode": "remote", "debugAdapter": "dlv-dap", "port": {port}')
    console.say(f"  remote IDE: ssh -NL {port}:{local} this-machine")
    limit = _pause_limit(settings, name)
    if limit:
        console.say(f"  limit:      {limit}")
    console.say(f"  stop:       doit undebug:{name}")


def _pause_limit(settings: Settings, name: str) -> str:
    """Return what limits a pause of the component; empty for no limit."""
    limit = registry.COMPONENTS[name].pause_limit
    if limit is None:
        return ""
    return limit(Context(settings, load_checkout(settings.paths.lock).minor, Path(name)))


def task_debug(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that puts it under Delve."""
    yield {"name": None, "doc": "debug a running component with Delve", "ordered": True}
    yield {
        "basename": "_cluster-runs",
        "doc": "check that the components to debug are running",
        "actions": [(require_cluster, [settings])],
        "uptodate": [False],
        "meta": {"quiet": True},
    }
    configured = prerequisites.components_to_run(settings)
    params = [
        option("mode", "debug mode", "attach", choices=swap.modes()),
        option("stop-at-entry", "with --mode exec: pause before main() until a client resumes it"),
        option("wait-client", "pause until a client connects and resumes it"),
        option("listen", "port or ADDRESS:PORT for Delve, instead of its default", ""),
        option("allow-remote", "allow an address in --listen that other machines can reach"),
        option("open-firewall", "open the port in firewalld, ufw or nftables; undebug closes it"),
        option(
            "any-user", "allow other users of this machine to connect, such as the user of an IDE"
        ),
    ]
    for name in registry.debug_offsets():
        yield {
            "name": name,
            "grouped": name in configured,
            "doc": f"debug {name} with Delve on 127.0.0.1:{registry.debug_port(settings, name)}",
            "actions": [(debug, [settings, name])],
            "task_dep": ["_cluster-runs", "toolchain:delve"],
            "uptodate": [False],
            "params": params,
        }


def task_undebug(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that takes it out of Delve."""
    yield from _component_tasks(
        settings,
        undebug,
        "take {} out of Delve, with the same arguments",
        "take a component out of Delve",
    )


def task_resume(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that resumes it from a forgotten breakpoint."""
    yield from _component_tasks(
        settings,
        resume,
        "clear the breakpoints of {} and resume it",
        "resume a component that is paused at a forgotten breakpoint",
    )


def _component_tasks(
    settings: Settings, perform: Any, doc: str, group: str
) -> Iterator[dict[str, Any]]:
    """Yield one task without options per component."""
    yield {"name": None, "doc": group}
    for name in registry.debug_offsets():
        yield {
            "name": name,
            "doc": doc.format(name),
            "actions": [(perform, [settings, name])],
            "uptodate": [False],
        }
