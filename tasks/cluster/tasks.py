"""Start, restart and stop components, one by one, without touching the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from typing import Any

from tasks.addons import tasks as addons
from tasks.addons.catalog import ADDONS
from tasks.check import tasks as check
from tasks.cli.command_line import UP_OPTIONS
from tasks.cli.task import Check, action
from tasks.cluster import foreground, summary
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.debug import saved_breakpoints, swap
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import kubectl, prerequisites, processes, sandbox
from tasks.settings.load import Settings
from tasks.system import files, process


@action
def reconcile(settings: Settings, name: str) -> None:
    """Start a component, or start it again when what it was started from changed.

    A component that is being debugged is started again in its mode.
    """
    check.require(settings, load_checkout(settings.paths.lock).minor)
    foreground.arm(settings, partial(stop_all, settings))
    for one in COMPONENTS[name].start_checks:
        prerequisites.START_CHECKS[one](settings)
    with files.locked(settings.paths.run / f"{name}.lock"):
        component = processes.desired_component(settings, name)
        if swap.recover(settings, name):
            console.note("its debugger was lost: a normal process again")
        record = process.load(settings.paths.run, name)
        if record is not None and record.alive():
            if record.fingerprint == processes.fingerprint(component):
                console.note("runs as wanted")
                return
            again = swap.suspend(settings, name)
            processes.stop(settings, name, record)
            record = processes.start(settings, component)
            console.note("restarted: what it was started from changed")
            if again is not None:
                wanted, marks = again
                swap.enter(settings, record, wanted)
                saved_breakpoints.restore(wanted.local, marks)
                console.note(f"again in mode {wanted.mode} with {len(marks)} breakpoints")
            return
        swap.kill(settings, name)
        processes.stop(settings, name, record)
        for note in component.notes:
            console.note(note)
        record = processes.start(settings, component)
        console.note(f"pid {record.identity.pid}")


def is_running(settings: Settings, name: str) -> bool:
    """Tell whether a component runs, as it is configured now."""
    record = process.load(settings.paths.run, name)
    held = swap.load(settings, name)
    if record is None or not record.alive() or (held is not None and held.broken):
        return False
    component = processes.desired_component(settings, name)
    return record.fingerprint == processes.fingerprint(component)


def components_to_run(settings: Settings) -> list[str]:
    """Return the names of the components that are to run, in the order of their start."""
    specs = COMPONENTS.values()
    control = [one.name for one in specs if one.part == "control-plane" and one.selected(settings)]
    return control + prerequisites.node_components(settings)


def components_in_scope(settings: Settings) -> list[str]:
    """Return the components a run has a say in: a lone kubelet leaves the control plane alone."""
    everything = settings.start.control_plane
    return [spec.name for spec in COMPONENTS.values() if everything or spec.part == "kubelet"]


@action
def up(settings: Settings) -> None:
    """Stop what is no longer wanted, then say how to use the cluster; stay if that is wished."""
    foreground.arm(settings, partial(stop_all, settings))
    wanted = components_to_run(settings)
    for name in reversed(components_in_scope(settings)):
        if name not in wanted and _stop(settings, name):
            console.say(f"  {name} is no longer wanted: stopped")
    if any(COMPONENTS[name].makes_node for name in wanted):
        if settings.node.sandbox:
            sandbox.ensure(settings)  # its forwarder, should it have ended or have other ports now
        kubectl.wait_node_ready(settings)
    for line in summary.lines(settings, wanted):
        console.say(line)
    if foreground.stays_in_foreground(settings):
        console.say("\nPress Ctrl-C to shut it down.")
        foreground.watch(settings, wanted)


@action
def down(settings: Settings) -> None:
    """End every component of the instance, the last one first, and free the ports."""
    ended = stop_all(settings)
    if not settings.etcd.preserve and settings.start.control_plane:
        console.note("the cluster's objects were removed")
    console.note(f"ended {', '.join(ended)}" if ended else "nothing was running")
    if not settings.start.control_plane:
        console.note("START_MODE=kubeletonly leaves the control plane alone")


def stop_all(settings: Settings) -> list[str]:
    """End what this run has a say in and return the names of what ran."""
    ended = [name for name in reversed(components_in_scope(settings)) if _stop(settings, name)]
    processes.stop_pods(settings)
    sandbox.stop_if_empty(settings)
    if not settings.etcd.preserve and settings.start.control_plane:
        shutil.rmtree(settings.paths.etcd, ignore_errors=True)
        addons.forget(settings)
    return ended


@action
def stop_one(settings: Settings, name: str) -> None:
    """End one component and leave the others alone."""
    console.note("ended" if _stop(settings, name) else "was not running")


def _stop(settings: Settings, name: str) -> bool:
    """End a component together with its debugger; True when it ran."""
    with files.locked(settings.paths.run / f"{name}.lock"):
        record = process.load(settings.paths.run, name)
        ran = record is not None and record.alive()
        swap.kill(settings, name)
        return processes.stop(settings, name, record) or ran


def task_up(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the task that brings the whole cluster up."""
    yield {
        "basename": "up",
        "doc": "build what changed and bring the cluster up",
        "actions": [(up, [settings])],
        "params": list(UP_OPTIONS),
        "task_dep": [
            *_credentials(settings),
            *(f"start:{name}" for name in components_to_run(settings)),
            *(f"addons:{name}" for name in ADDONS if settings.start.control_plane),
            *([] if settings.start.kubectl else ["build:kubectl"]),
        ],
        "uptodate": [False],
        "meta": {"quiet": True},
        "clean": [(down, [settings])],
    }


def _credentials(settings: Settings) -> list[str]:
    """Return the tasks of the certificates: all, or what a lone kubelet and kubectl need."""
    return ["certs"] if settings.start.control_plane else ["certs:kubeconfig-admin"]


def task_start(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that makes it run as configured."""
    yield {"name": None, "doc": "start components, or restart those whose inputs changed"}
    # an optional component is also started for one that START_MODE leaves out of `up`
    chosen = (one.name for one in COMPONENTS.values() if one.optional and one.optional(settings))
    wanted = {*components_to_run(settings), *chosen}
    for name, spec in COMPONENTS.items():
        module, tools = spec.built_module(settings), spec.needed_tools(settings)
        records = [settings.paths.built(module)] if module else []
        records += [settings.paths.tool(tool) for tool in tools]
        yield {
            "name": name,
            "doc": f"start {name}, or restart it when its binary, flags or certificates changed",
            "actions": [(reconcile, [settings, name])],
            "file_dep": [str(path) for path in records],
            "task_dep": [
                "checkout",
                *([f"build:{module}"] if module else []),
                *(f"toolchain:{tool}" for tool in tools),
                *(spec.task_deps(settings) if name in wanted else ()),
                *(f"certs:{one}" for one in spec.certs),
                *(f"start:{one}" for one in spec.after if one in wanted),
            ],
            "uptodate": [Check(f"{name} runs as it is configured", is_running, (settings, name))],
        }


def task_stop(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that ends it."""
    yield {"name": None, "doc": "end single components"}
    for name in COMPONENTS:
        yield {
            "name": name,
            "doc": f"end {name} and leave the others alone",
            "actions": [(stop_one, [settings, name])],
            "uptodate": [False],
        }


def task_down(settings: Settings) -> dict[str, Any]:
    """Return the task that ends the cluster."""
    return {
        "doc": "end every component and free the ports",
        "actions": [(down, [settings])],
        "uptodate": [False],
    }
