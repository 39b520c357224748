"""Warnings about networks of the sandbox that this machine's own network uses too."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.components.connections import keyed_networks
from tasks.runtime import connectors
from tasks.settings.load import Settings
from tasks.system import routes


def warnings(settings: Settings) -> Iterator[str]:
    """Yield a warning for each network of services, pods or node that overlaps a route."""
    if connectors.why_impossible():
        return
    for key, network in keyed_networks(settings):
        for route, device in routes.networks():
            if route.version == network.version and network.overlaps(route):
                yield (
                    f"{settings.source(key)}: {network} overlaps {route}, a network of this machine"
                    f" ({device}): the control plane connects to these addresses in the sandbox,"
                    f" so it cannot reach that network; set {key} to unused addresses"
                )
