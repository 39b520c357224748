"""Stop the pods of a node that runs on the host."""

from __future__ import annotations

from tasks.components import kubelet_config
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.runtime import container, processes
from tasks.settings.load import Settings
from tasks.system import mounts, procfs, signals


def stop(settings: Settings) -> None:
    """Stop the pods' containers and unmount their volumes, which outlive the kubelet.

    Without a sandbox nothing else does it; a sandbox that stops takes all of them with it.
    """
    container.remove_pod_containers(settings)
    for shim in (
        identity for name in COMPONENTS for identity in processes.survivors(settings, name)
    ):
        for pid in procfs.children(shim.pid):
            child = procfs.identify(pid)
            if child is not None:
                signals.stop(child, signals.KILL)
        signals.stop(shim, signals.KILL)
    for problem in mounts.unmount(kubelet_config.root(settings)):
        console.warn(problem)
