"""Stage 6: bring the running components to what is wanted, one by one, touching no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

from tasks import clients, facts, files, journal, launch, node, process, report, swap
from tasks.components import containerd, flags
from tasks.components.registry import COMPONENTS
from tasks.failure import Failure
from tasks.settings import Settings, current
from tasks.tree import load_checkout


@report.action
def reconcile(settings: Settings, name: str) -> None:
    """Start a component, or start it again when what it was started from changed.

    A component that is being debugged is started again in its mode.
    """
    if name in node.NODE:
        node.require_cgroups(settings)
    with files.locked(settings.paths.run / f"{name}.lock"):
        component = launch.wanted(settings, name)
        if swap.heal(settings, name):
            report.note("its debugger was lost: a normal process again")
        record = process.load(settings.paths.run, name)
        if record is not None and record.alive():
            if record.fingerprint == launch.fingerprint(component):
                report.note("runs as wanted")
                return
            again = swap.leave_for_restart(settings, name)
            launch.stop(settings, name)
            launch.start(settings, component)
            report.note("restarted: what it was started from changed")
            if again is not None:
                wanted, marks = again
                swap.enter(settings, name, wanted)
                clients.restore(wanted.local, marks)
                report.note(f"again in mode {wanted.mode} with {len(marks)} breakpoints")
            return
        swap.clear(settings, name)
        launch.stop(settings, name)
        record = launch.start(settings, component)
        report.note(f"pid {record.identity.pid}")


class Running:
    """Up-to-date check: the component runs, as it is configured now."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings, self.name = settings, name

    def __call__(self) -> bool:
        """Look, and never raise: doit would end the whole run."""
        try:
            record = process.load(self.settings.paths.run, self.name)
            if record is None or not record.alive() or journal.broken(self.settings, self.name):
                return False
            component = launch.wanted(self.settings, self.name)
            return record.fingerprint == launch.fingerprint(component)
        except (Failure, OSError):
            return False

    def __repr__(self) -> str:
        return f"{self.name} runs as it is configured"


def chosen(settings: Settings) -> list[str]:
    """Return the names of the components that are to run, in the order of their start."""
    control = [] if settings.start.mode == "kubeletonly" else [
        "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"
    ]
    return control + node.components(settings)


@report.action
def up(settings: Settings) -> None:
    """Stop what is no longer wanted, then say how to use the cluster."""
    wanted = chosen(settings)
    for name in reversed(COMPONENTS):
        if name not in wanted and launch.stop(settings, name):
            report.say(f"  {name} is no longer wanted: stopped")
    node.after_start(settings, wanted)
    for line in summary(settings, wanted):
        report.say(line)


def summary(settings: Settings, names: list[str]) -> list[str]:
    """Return the closing lines: kubeconfig, logs, and how to debug next."""
    paths = settings.paths
    version = load_checkout(paths.lock).version
    ready = facts.minor(version).health["kube-apiserver"].path
    patient = flags.PATIENT if settings.debug.pause_tolerant else {}
    delve_port = swap.port(settings, "kube-apiserver")
    lines = ["", f"Kubernetes {version} is running (instance {settings.name}).", "", "Logs:"]
    lines += [f"  {paths.log(name)}" for name in names]
    lines += [
        "",
        "To use the cluster:",
        f"  export KUBECONFIG={paths.kubeconfig('admin')}",
        f"  export PATH={paths.instance / 'bin'}:$PATH",
        *(f"  export {key}={value}" for key, value in patient.items()),
        f"  kubectl get --raw {ready}",
        "",
        "To put a component under the debugger, and back:",
        f"  doit debug:kube-apiserver      # Delve listens on 127.0.0.1:{delve_port}",
        "  doit undebug:kube-apiserver",
    ]
    left_out = node.left_out(settings)
    return [*lines, *(["", left_out] if left_out else [])]


@report.action
def down(settings: Settings) -> None:
    """End every component of the instance, the last one first, and free the ports."""
    ended = []
    for name in reversed(COMPONENTS):
        with files.locked(settings.paths.run / f"{name}.lock"):
            swap.clear(settings, name)
            if launch.stop(settings, name):
                ended.append(name)
    node.after_stop(settings)
    if not settings.etcd.preserve:
        shutil.rmtree(settings.paths.etcd, ignore_errors=True)
        report.note("the cluster's objects were removed")
    report.note(f"ended {', '.join(ended)}" if ended else "nothing was running")


@report.action
def stop_one(settings: Settings, name: str) -> None:
    """End one component and leave the others alone."""
    with files.locked(settings.paths.run / f"{name}.lock"):
        swap.clear(settings, name)
        report.note("ended" if launch.stop(settings, name) else "was not running")


def task_up() -> Iterator[dict[str, Any]]:
    """Yield the task that brings the whole cluster up."""
    settings = current()
    yield {
        "basename": "up",
        "doc": "build what changed and bring the cluster up",
        "actions": [(up, [settings])],
        "task_dep": ["certs", *(f"start:{name}" for name in chosen(settings)), "build:kubectl"],
        "uptodate": [False],
        "meta": {"quiet": True},
        "clean": [(down, [settings])],
    }


def task_start() -> Iterator[dict[str, Any]]:
    """Yield one task per component that makes it run as configured."""
    settings = current()
    yield {"name": None, "doc": "start components, or restart those whose inputs changed"}
    for name, spec in COMPONENTS.items():
        inputs = [settings.paths.built(spec.module)] if spec.module else []
        tasks = [f"build:{spec.module}"] if spec.module else []
        if name == "etcd":
            inputs, tasks = [settings.paths.tool("etcd")], ["toolchain:etcd"]
        if name == containerd.NAME and containerd.installed_plugins() is None:
            inputs, tasks = [settings.paths.tool("cni")], ["toolchain:cni"]
        yield {
            "name": name,
            "doc": f"start {name}, or restart it when its binary, flags or certificates changed",
            "actions": [(reconcile, [settings, name])],
            "file_dep": [str(path) for path in inputs],
            "task_dep": [
                *tasks,
                *(f"certs:{one}" for one in spec.certs),
                *(f"start:{one}" for one in spec.after if one in chosen(settings)),
            ],
            "uptodate": [Running(settings, name)],
        }


def task_stop() -> Iterator[dict[str, Any]]:
    """Yield one task per component that ends it."""
    settings = current()
    yield {"name": None, "doc": "end single components"}
    for name in COMPONENTS:
        yield {
            "name": name,
            "doc": f"end {name} and leave the others alone",
            "actions": [(stop_one, [settings, name])],
            "uptodate": [False],
        }


def task_down() -> dict[str, Any]:
    """Return the task that ends the cluster."""
    return {
        "doc": "end every component and free the ports",
        "actions": [(down, [current()])],
        "uptodate": [False],
    }
