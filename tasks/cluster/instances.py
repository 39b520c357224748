"""Tasks instances and delete: the instances of the workspace, their size, and their removal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.cli import command_line
from tasks.cli.task import ANSWER, OUTPUT, action, option
from tasks.cluster import instance_lock
from tasks.cluster import tasks as cluster
from tasks.components.registry import COMPONENTS
from tasks.core import console, derived
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import mounts, process
from tasks.system.workspace import instance_names

COLUMNS = "{:<20}{:<14}{:<20}{:>10}  {}"
OURS = ("instances", "bin", "src", "toolchain", "cache", "mirror.json")
"""What stepkube makes in the workspace. host.json stays: it says how to undo host changes."""


@dataclass(frozen=True)
class Instance:
    """An instance of the workspace; the fields are also the keys of the JSON output."""

    name: str
    version: str
    """Version of Kubernetes; empty before the checkout."""
    state: str
    """running, stopped, or partly running when a component died."""
    components: tuple[str, ...]
    """The components that run."""
    ports: dict[str, int]
    """The ports of kube-apiserver and etcd, and Delve's port for kube-apiserver."""
    bytes: int
    """Size on disk, without what instances share."""
    path: str


def describe(settings: Settings) -> Instance:
    """Return the description of an instance from its settings and files."""
    records = {name: process.load(settings.paths.run, name) for name in COMPONENTS}
    running = [name for name, record in records.items() if record and record.alive()]
    died = [name for name, record in records.items() if record and name not in running]
    try:
        version = load_checkout(settings.paths.lock).version
    except Failure:
        version = ""
    api = records.get("kube-apiserver")
    ports = {
        "kube-apiserver": _secure_port(api.argv if api else ()) or settings.api.secure_port,
        "etcd": settings.etcd.port,
        "delve": settings.debug.base_port + 9,
    }
    state = "partly running" if running and died else "running" if running else "stopped"
    size = sum(_sizes(settings.paths.instance))
    instance = str(settings.paths.instance)
    return Instance(settings.name, version, state, tuple(running), ports, size, instance)


def _secure_port(argv: tuple[str, ...]) -> int:
    """Return the port in the command line of a running kube-apiserver; 0 without one."""
    values = [word.partition("=")[2] for word in argv if word.startswith("--secure-port=")]
    return int(values[-1]) if values and values[-1].isdigit() else 0


def _sizes(folder: Path) -> Iterator[int]:
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                yield (Path(path) / name).lstat().st_blocks * 512
            except OSError:  # a running component removed it
                continue


@action
def print_instances(settings: Settings, output: str) -> None:
    """Print the instances as a table or as JSON."""
    found = [
        describe(command_line.load_settings(name)) for name in instance_names(settings.paths.home)
    ]
    if output == "json":
        console.say(json.dumps([asdict(instance) for instance in found], indent=1))
        return
    console.say(COLUMNS.format("instance", "version", "state", "size", "ports"))
    for item in found:
        ports = ", ".join(f"{name} {port}" for name, port in item.ports.items())
        size = f"{item.bytes / 2**20:.0f} MiB"
        console.say(COLUMNS.format(item.name, item.version or "-", item.state, size, ports))


@action
def delete(settings: Settings, workspace: bool, yes: bool) -> None:
    """Stop and delete an instance, or everything that stepkube made in the workspace."""
    home = settings.paths.home
    known = instance_names(home)
    chosen = known if workspace else [settings.name]
    if not workspace and settings.name not in known:
        there = f"use one of: {', '.join(known)}" if known else "there is nothing to delete"
        raise Failure(f"{home} has no instance named {settings.name}", there)
    what = f"the workspace {home}" if workspace else f"the instance {settings.name}"
    listed = f" ({', '.join(chosen)})" if workspace and chosen else ""
    if not yes and not console.confirm(f"Stop and delete {what}{listed}, with all its objects?"):
        raise Failure(f"{what} was not deleted: nobody confirmed it", "use --yes")
    for name in chosen:
        _delete_instance(command_line.load_settings(name))
    if workspace:
        derived.discard()
        for path in (home / name for name in OURS):
            _remove(path)
        if home.is_dir() and not any(home.iterdir()):
            home.rmdir()
    console.say(f"deleted {what}")
    if workspace and home.is_dir():
        console.say(f"kept in {home}: {', '.join(sorted(path.name for path in home.iterdir()))}")


def _delete_instance(settings: Settings) -> None:
    """Stop an instance and remove its folder; folders that a setting put elsewhere stay."""
    paths = settings.paths
    with instance_lock.exclusive(settings):
        cluster.stop_all(settings)
        running = [name for name in COMPONENTS if _runs(settings, name)]
        if running:
            raise Failure(f"{', '.join(running)} of {settings.name} runs", "unset START_MODE")
        for folder in (paths.certs, paths.logs, paths.etcd, paths.config):
            if folder.exists() and not folder.is_relative_to(paths.instance):
                console.say(f"kept: {folder}")
        _remove(paths.instance)
    for folder in (paths.cache / "kubectl").glob(f"{settings.name}-v*"):
        _remove(folder)


def _runs(settings: Settings, name: str) -> bool:
    record = process.load(settings.paths.run, name)
    return record is not None and record.alive()


def _remove(path: Path) -> None:
    """Remove a file or folder, also with read-only folders in it. Raises Failure for a mount."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.is_dir():
        return
    points = mounts.mount_points(path)
    if points:
        raise Failure(f"{points[0]} is a mount point: its files would be lost", "unmount it first")
    for folder, _, _ in os.walk(path):
        if not os.access(folder, os.W_OK | os.X_OK):  # a Go module cache
            Path(folder).chmod(0o700)
    shutil.rmtree(path)


def task_instances(settings: Settings) -> dict[str, Any]:
    """Return the task that lists the instances of the workspace."""
    return {
        "doc": "list the instances: version, state, size on disk, ports",
        "actions": [(print_instances, [settings])],
        "uptodate": [False],
        "params": [OUTPUT],
        "meta": ANSWER,
    }


def task_delete(settings: Settings) -> dict[str, Any]:
    """Return the task that deletes an instance or the workspace."""
    return {
        "doc": "stop and delete the instance, or the whole workspace; asks first",
        "actions": [(delete, [settings])],
        "uptodate": [False],
        "params": [
            option("workspace", "delete all instances, tools, sources, binaries and caches"),
            option("yes", "do not ask; needed without a terminal", short="y"),
        ],
        "meta": {"quiet": True},
    }
