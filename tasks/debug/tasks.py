"""Tasks debug, undebug, resume: put a component under Delve and take it out again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.cli.task import action, option
from tasks.components import registry
from tasks.components.base import Context
from tasks.core import console
from tasks.core.errors import Failure
from tasks.debug import preflight, swap
from tasks.kubernetes.tree import load_checkout
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
    """Put one component under Delve and say how to connect; nothing happens when it is there."""
    if stop_at_entry and mode != "exec":
        raise Failure(
            "--stop-at-entry: an attached process has passed its entry long ago",
            "add --mode exec, or use --wait-client",
        )
    wanted = swap.request(settings, name, swap.as_mode(mode), hold=stop_at_entry or wait_client)
    address = preflight.listen(listen, wanted.listen, allow_remote=allow_remote)
    wanted = replace(wanted, listen=address, any_user=any_user)
    if open_firewall:
        if not allow_remote:
            raise Failure("--open-firewall: Delve listens on loopback only", "add --allow-remote")
        wanted = replace(wanted, firewall=firewall.close_command(wanted.port))
    with files.locked(settings.paths.run / f"{name}.lock"):
        held = swap.load(settings, name)
        if held is not None:
            alive = held.debugger is not None and held.debugger.alive()
            if alive and _same(held, wanted):
                console.note("is in the debugger already")
                _say_how(settings, name, wanted)
                return
            swap.leave(settings, name)
        record = swap.enter(settings, swap.require_running(settings, name), wanted)
    console.note(f"pid {record.identity.pid}, {wanted.mode}")
    _say_how(settings, name, wanted)


@action
def undebug(settings: Settings, name: str) -> None:
    """Give back a normal process with the very same arguments."""
    with files.locked(settings.paths.run / f"{name}.lock"):
        if swap.load(settings, name) is None:
            console.note("is not in the debugger")
            return
        before = process.load(settings.paths.run, name)
        record = swap.leave(settings, name)
    if record is None:
        console.note("it did not run")
    elif before is not None and before.identity == record.identity:
        console.note(f"pid {record.identity.pid} runs on, untouched")
    else:
        console.note(f"pid {record.identity.pid}, started with the same arguments")


@action
def resume(settings: Settings, name: str) -> None:
    """Let a component that stands at a forgotten breakpoint go on, without any breakpoint left."""
    if swap.load(settings, name) is None:
        raise Failure(f"{name} is not in the debugger", f"doit debug:{name} puts it there")
    went_on = swap.resume(settings, name)
    console.note("goes on, its breakpoints are cleared" if went_on else "runs already")


def _same(held: swap.Swap, wanted: swap.Swap) -> bool:
    """Tell whether a component is being debugged just as it is wanted."""
    return (held.step, held.mode, held.listen, held.any_user) == (
        "ready",
        wanted.mode,
        wanted.listen,
        wanted.any_user,
    )


def _say_how(settings: Settings, name: str, wanted: swap.Swap) -> None:
    port, local = wanted.port, wanted.local
    if local != wanted.listen or not local.startswith(("127.", "[::1]")):
        console.warn(
            f"Delve listens on {wanted.listen} and asks for no password: whoever reaches this port"
            " can run any code as you, until doit undebug"
        )
    if wanted.any_user:
        console.warn("every user of this machine can run code as you through this port")
    held = ", and stands until one lets it go on" if wanted.hold else ""
    console.say(f"  {name} waits for a client on {wanted.listen}{held}")
    console.say(f"  terminal:   dlv connect {local}    (leave with: exit -c)")
    console.say(f"  GoLand:     Go Remote, host 127.0.0.1, port {port}")
    console.say(f'  VS Code:    "mode": "remote", "debugAdapter": "dlv-dap", "port": {port}')
    console.say(f"  remote IDE: ssh -NL {port}:{local} this-machine")
    limit = _pause_limit(settings, name)
    if limit:
        console.say(f"  limit:      {limit}")
    console.say(f"  and back:   doit undebug:{name}")


def _pause_limit(settings: Settings, name: str) -> str:
    limit = registry.COMPONENTS[name].pause_limit
    if limit is None:
        return ""
    return limit(Context(settings, load_checkout(settings.paths.lock).minor, Path(name)))


def task_debug(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that puts it under Delve."""
    yield {"name": None, "doc": "put a running component under Delve"}
    params = [
        option("mode", "how to debug", "attach", choices=swap.modes()),
        option("stop-at-entry", "with --mode exec: stand before main() until a client comes"),
        option("wait-client", "stand until a client comes and lets it go on"),
        option("listen", "another address or port for Delve", ""),
        option("allow-remote", "let --listen name an address that others reach"),
        option("open-firewall", "open the port in firewalld, ufw or nftables; undebug closes it"),
        option("any-user", "let other users of this machine connect, for an IDE run by one"),
    ]
    for name in registry.debug_offsets():
        yield {
            "name": name,
            "doc": f"put {name} under Delve on 127.0.0.1:{registry.debug_port(settings, name)}",
            "actions": [(debug, [settings, name])],
            "task_dep": ["toolchain:delve"],
            "uptodate": [False],
            "params": params,
        }


def task_undebug(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that takes it out of Delve."""
    yield from _simple(
        settings,
        undebug,
        "take {} out of Delve again, with the same arguments",
        "take a component out of Delve again",
    )


def task_resume(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that ends a forgotten pause."""
    yield from _simple(
        settings,
        resume,
        "clear the breakpoints of {} and let it go on",
        "let a component go on that stands at a forgotten breakpoint",
    )


def _simple(settings: Settings, action: Any, doc: str, group: str) -> Iterator[dict[str, Any]]:
    yield {"name": None, "doc": group}
    for name in registry.debug_offsets():
        yield {
            "name": name,
            "doc": doc.format(name),
            "actions": [(action, [settings, name])],
            "uptodate": [False],
        }
