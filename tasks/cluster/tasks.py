"""Tasks up, down, start and stop: start, restart and stop components one by one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from tasks.addons import tasks as addons
from tasks.addons.catalog import ADDONS
from tasks.check import tasks as check
from tasks.cli.command_line import UP_OPTIONS
from tasks.cli.task import Check, action
from tasks.cluster import foreground, instance_lock, liveness, refusals, summary
from tasks.components.registry import COMPONENTS
from tasks.core import console, doit_run
from tasks.debug import restart, swap
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import (
    accepted_flags,
    node,
    pods,
    prerequisites,
    processes,
    readiness,
    replacement,
    sandbox,
)
from tasks.settings.load import Settings
from tasks.system import files, inherited, process

components_to_run = prerequisites.components_to_run


@action
def reconcile(settings: Settings, name: str, forced: bool = False) -> None:
    """Start a component, or restart it when its fingerprint changed or it does not answer.

    With `forced`, one that runs as configured is restarted too.

    A component that is being debugged is restarted in its debug mode, with its breakpoints.
    """
    check.require(settings, load_checkout(settings.paths.lock).minor)
    foreground.stop_cluster_on_exit(settings, partial(stop_all, settings))
    instance_lock.share(settings)
    refusals.require_user_flags(settings, components_to_run(settings))
    for start_check in COMPONENTS[name].start_checks:
        prerequisites.START_CHECKS[start_check](settings)
    with ExitStack() as locks:
        locks.enter_context(readiness.locked(settings, name))
        component = processes.desired_component(settings, name)
        accepted_flags.require(settings, component)
        readiness.require(*component.after)
        if swap.recover(settings, name):
            console.note("its debugger had exited: back in mode normal")
        record = process.load(settings.paths.run, name)
        if record is not None and record.alive():
            reason = "its binary, flags, files or limits changed"
            if forced:
                reason = "as requested"
            elif inherited.is_current(record.fingerprint, processes.fingerprint(component)):
                processes.prepare(component)  # somebody can have removed a file
                reason = liveness.repair(settings, component, record)
            if not reason:
                console.note("runs as configured")
                return
            suspended = restart.suspend(settings, name)
            record, refused = replacement.replace_process(settings, component, record)
            if refused is None:
                console.note(f"restarted: {reason}")
            if suspended is not None:
                restart.reenter(settings, record, suspended)
            if refused is not None:
                raise refused
            return
        if record is not None:
            liveness.report_death(settings, record)
        swap.kill(settings, name)
        processes.stop(settings, name, record)
        for note in component.notes:
            console.note(note)
        record = readiness.start(settings, component, locks)
        console.note(f"pid {record.identity.pid}")


def is_running(settings: Settings, name: str) -> bool:
    """Return whether a component runs as it is configured now, and answers."""
    instance_lock.share_in_run(settings)
    record = process.load(settings.paths.run, name)
    debug_swap = swap.load(settings, name)
    if record is None or not record.alive() or (debug_swap and debug_swap.broken):
        return False
    readiness.require(*COMPONENTS[name].after)  # one that is starting would not answer
    component = processes.desired_component(settings, name)
    return processes.is_current(record, component) and liveness.works(settings, component, record)


def components_in_scope(settings: Settings) -> list[str]:
    """Return the names of the components that this run may stop.

    START_MODE=kubeletonly does not stop the control plane.
    """
    stops_all = settings.start.control_plane
    return [spec.name for spec in COMPONENTS.values() if stops_all or spec.part == "kubelet"]


@action
def up(settings: Settings) -> None:
    """Stop components that should not run, wait for the node, print the summary.

    With ENABLE_DAEMON=false, it then watches the components until a signal arrives.
    """
    foreground.stop_cluster_on_exit(settings, partial(stop_all, settings))
    readiness.require_all()
    names = components_to_run(settings)
    for name in reversed(components_in_scope(settings)):
        if name not in names and stop(settings, name):
            doit_run.current().changed = True
            console.say(f"  {name} is no longer configured: stopped")
    if any(COMPONENTS[name].makes_node for name in names):
        if settings.node.sandbox:
            sandbox.ensure(settings)  # its forwarder may have exited, or have other ports now
        node.wait_ready(settings)
    tool_record.link_programs(settings, "etcd", "delve")  # an older release did not
    lines = summary.lines if doit_run.current().changed else summary.unchanged
    for line in lines(settings, names):
        console.say(line)
    if foreground.stays_in_foreground(settings):
        console.say("\nPress Ctrl-C to shut it down.")
        instance_lock.release(settings)
        foreground.watch(settings, names)


@action
def down(settings: Settings) -> None:
    """Stop every component of the instance, the last one first, and free the ports."""
    with instance_lock.exclusive(settings):
        stopped = stop_all(settings)
    if not settings.etcd.preserve and settings.start.control_plane:
        console.note("the cluster's objects were removed")
    console.note(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    if not settings.start.control_plane:
        console.note("START_MODE=kubeletonly does not stop the control plane")


def stop_all(settings: Settings) -> list[str]:
    """Stop the components in scope, their pods and the sandbox; return the names of what ran."""
    readiness.release_all()
    stopped = [name for name in reversed(components_in_scope(settings)) if stop(settings, name)]
    pods.stop(settings)
    sandbox.stop_if_empty(settings)
    if not settings.etcd.preserve and settings.start.control_plane:
        shutil.rmtree(settings.paths.etcd, ignore_errors=True)
        addons.forget(settings)
    return stopped


def stop(settings: Settings, name: str) -> bool:
    """Stop a component and its debugger; return whether it ran."""
    with files.locked(settings.paths.run / f"{name}.lock"):
        record = process.load(settings.paths.run, name)
        ran = record is not None and record.alive()
        swap.kill(settings, name)
        return processes.stop(settings, name, record) or ran


def task_up(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the task that builds and starts the cluster."""
    user_flags = refusals.modules_with_user_flags(settings, components_to_run(settings))
    yield {
        "basename": "up",
        "doc": "build what changed and start the cluster",
        "actions": [(up, [settings])],
        "params": list(UP_OPTIONS),
        "task_dep": [
            "certs" if settings.start.control_plane else "certs:kubeconfig-admin",
            # before the first component is restarted: these binaries check the user's flags
            *(f"build:{module}" for _, module in user_flags),
            *(f"start:{name}" for name in components_to_run(settings)),
            *(f"addons:{name}" for name in ADDONS if settings.start.control_plane),
            *([] if settings.start.kubectl else ["build:kubectl"]),
        ],
        "uptodate": [False],
        "meta": {"quiet": True},
        "clean": [(down, [settings])],
    }


def task_start(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that starts it, or restarts it when it changed."""
    yield {
        "name": None,
        "doc": "start components, or restart them if binary, flags or certificates changed",
    }
    # start:NAME of a component that START_MODE excludes also starts the optional ones it needs
    optional = (
        spec.name for spec in COMPONENTS.values() if spec.optional and spec.optional(settings)
    )
    configured = components_to_run(settings)
    names = {*configured, *optional}
    for name, spec in COMPONENTS.items():
        module, tools = spec.built_module(settings), spec.needed_tools(settings)
        records = [settings.paths.built(module)] if module else []
        records += [settings.paths.tool(tool) for tool in tools]
        yield {
            "name": name,
            "grouped": name in configured,
            "doc": f"start {name}, or restart it if its inputs changed",
            "actions": [(reconcile, [settings, name])],
            "file_dep": [str(path) for path in records],
            "task_dep": [
                "checkout",
                *([f"build:{module}"] if module else []),
                *(f"toolchain:{tool}" for tool in tools),
                *(spec.task_deps(settings) if name in names else ()),
                *(f"certs:{cert}" for cert in spec.certs),
                *(f"start:{needed}" for needed in spec.after if needed in names),
            ],
            "uptodate": [Check(f"{name} runs as it is configured", is_running, (settings, name))],
        }


def task_down(settings: Settings) -> dict[str, Any]:
    """Return the task that stops the cluster."""
    return {
        "doc": "stop all components and free their ports",
        "actions": [(down, [settings])],
        "uptodate": [False],
    }
