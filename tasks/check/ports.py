"""Checks of ports: two programs of a cluster cannot listen on the same port."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tasks.components import forwarding, registry
from tasks.components.base import Component
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.settings.table import table


def shared_ports(settings: Settings, components: Mapping[str, Component]) -> Iterator[Failure]:
    """Yield a failure for every port on which two running components would listen.

    Port forwards of the sandbox (node.forward) count too.
    """
    try:
        forwarding.mappings(settings)
    except Failure as failure:
        yield failure
        return
    users = defaultdict(list)
    for name, component in components.items():
        spec = COMPONENTS[name]
        if spec.selected(settings):
            for port in spec.host_ports(settings, component):
                users[port].append(name)
    if settings.start.kubelet and settings.node.sandbox:
        for forward in settings.node.forward:
            users[int(forward.partition(":")[0])].append("node.forward")
    for port, names in users.items():
        keys = [
            row.key
            for row in table()
            if row.key.endswith("port") and settings.value(row.key) == port
        ]
        if len(names) > 1 or _has_port_twice(names[0], keys):
            named = [settings.source(key) for key in keys]
            named += [settings.source(name) for name in names if name == "node.forward"][:1]
            yield Failure(
                f"{' and '.join(named)}: port {port} is used twice ({', '.join(names)})",
                "set another port for one of them",
            )


def debug_port_problems(settings: Settings) -> Iterator[Failure]:
    """Yield a failure if a Delve port of a component would be above 65535."""
    highest = max(registry.debug_offsets().values())
    last = 65535 - highest
    if settings.debug.base_port > last:
        yield Failure(
            f"{settings.source('debug.base_port')}: the highest Delve port is base_port +"
            f" {highest} and would be above 65535",
            f"use {last} or less",
        )


def _has_port_twice(name: str, keys: list[str]) -> bool:
    """Return whether two settings of one component have the same port."""
    group = COMPONENTS[name].port_group if name in COMPONENTS else ""
    return bool(group) and sum(key.startswith(f"{group}.") for key in keys) > 1
