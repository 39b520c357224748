"""Ports: no two programs of one cluster can listen on the same one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tasks.components import cloud_controller_manager, forwarding
from tasks.components.base import Component
from tasks.components.debug_ports import OFFSETS
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.settings.table import table


def shared_ports(settings: Settings, built: Mapping[str, Component]) -> Iterator[Failure]:
    """Yield a failure for every port that two components that run would listen on."""
    try:
        forwarding.mappings(settings)
    except Failure as failure:
        yield failure
        return
    users = defaultdict(list)
    for name, component in built.items():
        if _runs(settings, name):
            for port in forwarding.host_ports(settings, component):
                users[port].append(name)
    if settings.start.kubelet and settings.node.sandbox:
        for words in settings.node.forward:
            users[int(words.partition(":")[0])].append("node.forward")
    for port, names in users.items():
        keys = [
            row.key
            for row in table()
            if row.key.endswith("port") and settings.value(row.key) == port
        ]
        if len(names) > 1 or _twice(names[0], keys):
            where = [settings.source(key) for key in keys]
            where += [settings.source(name) for name in names if name == "node.forward"][:1]
            yield Failure(
                f"{' and '.join(where)}: port {port} cannot be listened on twice"
                f" ({', '.join(names)})",
                "give one of them another port",
            )


def debug_port_problems(settings: Settings) -> Iterator[Failure]:
    """Yield a failure when the ports of Delve go beyond the last one there is."""
    last = 65535 - max(OFFSETS.values())
    if settings.debug.base_port > last:
        yield Failure(
            f"{settings.source('debug.base_port')}: the ports of Delve, up to"
            f" {max(OFFSETS.values())} above it, would be no ports",
            f"use {last} or less",
        )


def _twice(name: str, keys: list[str]) -> bool:
    """Tell whether one component would listen twice on a port of its own."""
    group = {"kubelet": "kubelet.", "kube-proxy": "proxy.", "kube-apiserver": "api."}.get(name)
    return group is not None and sum(key.startswith(group) for key in keys) > 1


def _runs(settings: Settings, name: str) -> bool:
    start = settings.start
    if name == cloud_controller_manager.NAME and not cloud_controller_manager.runs(settings):
        return False
    return {"kubelet": start.kubelet, "containerd": start.kubelet, "kube-proxy": start.proxy}.get(
        name, start.control_plane
    )
