"""Ports: no two programs of one cluster can listen on the same one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tasks.components import forwarding, registry
from tasks.components.base import Component
from tasks.components.registry import COMPONENTS
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
        spec = COMPONENTS[name]
        if spec.selected(settings):
            for port in spec.host_ports(settings, component):
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
    highest = max(registry.debug_offsets().values())
    last = 65535 - highest
    if settings.debug.base_port > last:
        yield Failure(
            f"{settings.source('debug.base_port')}: the ports of Delve, up to"
            f" {highest} above it, would be no ports",
            f"use {last} or less",
        )


def _twice(name: str, keys: list[str]) -> bool:
    """Tell whether one component would listen twice on a port of its own."""
    group = COMPONENTS[name].port_group if name in COMPONENTS else ""
    return bool(group) and sum(key.startswith(f"{group}.") for key in keys) > 1
