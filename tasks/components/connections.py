"""Connections of the control plane into the sandbox: the networks that only the sandbox has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network

from tasks.components.base import Context
from tasks.core.errors import Failure
from tasks.settings import ip_families
from tasks.settings.ip_families import NODE, PODS, SERVICES
from tasks.settings.load import Settings

NO_SANDBOX = "there is no sandbox without root"
"""The answer to the host query `connections` of a user who cannot have a sandbox."""


def networks(context: Context) -> tuple[str, ...]:
    """Return the networks to which a component connects inside the sandbox; empty for none.

    The host query `connections` says why this machine cannot do it.
    """
    impossible = context.host_answers.get("connections")
    return () if impossible else sandbox_networks(context.settings)


def sandbox_networks(settings: Settings) -> tuple[str, ...]:
    """Return the networks of services, pods and node; empty when the node has no sandbox."""
    return tuple(str(network) for _, network in keyed_networks(settings))


def keyed_networks(settings: Settings) -> Iterator[tuple[str, ip_families.Network]]:
    """Yield the networks that only the sandbox has, each with the key of its setting."""
    for key in (SERVICES, PODS, NODE) if settings.node.sandbox else ():
        with suppress(Failure):  # the task check refuses the value
            found = (
                tuple(map(ip_network, ip_families.node_addresses(settings)))
                if key == NODE
                else ip_families.networks(settings, key)
            )
            yield from ((key, network) for network in found)


def notes(context: Context) -> tuple[str, ...]:
    """Return the note of a component that cannot connect to the sandbox; empty if it can."""
    reason = context.host_answers.get("connections")
    return (f"cannot connect to pods and services: {reason}",) if _surprises(reason) else ()


def _surprises(reason: str | None) -> bool:
    return reason is not None and reason not in ("", NO_SANDBOX)
