"""Tasks stop:COMPONENT, restart:COMPONENT and reset."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

from tasks.addons import tasks as addons
from tasks.cli.task import action
from tasks.cluster import instance_lock
from tasks.cluster import tasks as cluster
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.settings.load import Settings


@action
def stop_one(settings: Settings, name: str) -> None:
    """Stop one component; the others keep running."""
    console.note("stopped" if cluster.stop(settings, name) else "was not running")


@action
def reset(settings: Settings) -> None:
    """Stop the cluster and remove its objects; certificates, binaries and settings stay."""
    if not settings.start.control_plane:
        raise Failure(
            f"{settings.source('start.mode')}: the objects are those of another control plane",
            "reset that one, or unset START_MODE",
        )
    with instance_lock.exclusive(settings):
        stopped = cluster.stop_all(settings)
        if settings.paths.etcd.exists():
            shutil.rmtree(settings.paths.etcd)
        addons.forget(settings)
    console.note(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    console.note("the cluster's objects were removed; to start it again, run: doit up")


def task_stop(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that stops it."""
    yield {"name": None, "doc": "stop single components"}
    for name in reversed(COMPONENTS):
        yield {
            "name": name,
            "doc": f"stop {name}; the others keep running",
            "actions": [(stop_one, [settings, name])],
            "uptodate": [False],
        }


def task_restart(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that restarts it in its mode, without a build."""
    yield {"name": None, "doc": "restart single components: same mode and breakpoints, no build"}
    for name in COMPONENTS:
        yield {
            "name": name,
            "doc": f"restart {name} in its mode with its breakpoints; the others keep running",
            "actions": [(cluster.reconcile, [settings, name, True])],
            "uptodate": [False],
        }


def task_reset(settings: Settings) -> dict[str, Any]:
    """Return the task that removes the objects of the cluster."""
    return {
        "doc": "stop the cluster and remove its objects; keep certificates and binaries",
        "actions": [(reset, [settings])],
        "uptodate": [False],
    }
