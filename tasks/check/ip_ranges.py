"""Checks of the address ranges of services and pods, and of the addresses that must fit them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

from tasks.components import shared_flags
from tasks.components.base import Context
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.settings import addresses, ip_families
from tasks.settings.ip_families import GATE, NODE, PODS, SERVICES, Network
from tasks.settings.load import Settings

KERNEL = Path("/proc/sys/net/ipv6")
"""The kernel's settings of IPv6; a kernel without IPv6 does not have them."""
_LARGEST, _LIMITED_UNTIL = 20, Minor(1, 32)
"""Bits of the largest range of services, and the last minor that has this limit."""
_FIXED = {
    "api.first_service_cluster_ip": ("FIRST_SERVICE_CLUSTER_IP", 1),
    "dns.server_ip": ("KUBE_DNS_SERVER_IP", 10),
}
"""Services with a fixed address: the variable, and the usual place in the first range."""


def problems(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for each range or address that cannot work."""
    try:
        ranges = {key: ip_families.networks(settings, key) for key in (SERVICES, PODS)}
        node = ip_families.node_addresses(settings)
    except Failure as failure:
        yield failure
        return
    wrong = [failure for key in ranges for failure in _pair(settings, key, ranges[key])]
    yield from wrong
    if wrong:
        return
    yield from _sizes(settings, ranges[SERVICES], minor)
    yield from _fixed_addresses(settings, ranges[SERVICES])
    yield from _node_addresses(settings)
    yield from _primary_family(settings, ranges[SERVICES][0], node[0])
    if ip_families.is_dual_stack(settings):
        yield from _dual_stack(settings, ranges, minor)


def _pair(settings: Settings, key: str, ranges: tuple[Network, ...]) -> Iterator[Failure]:
    versions = [network.version for network in ranges]
    if len(ranges) > 2 or len(set(versions)) < len(versions):
        yield Failure(
            f"{settings.source(key)}: {settings.value(key)}: two ranges are one of IPv4 and one of"
            " IPv6",
            "use for example 10.0.0.0/24,fd00:1::/112, or one range",
        )


def _sizes(settings: Settings, ranges: tuple[Network, ...], minor: Minor) -> Iterator[Failure]:
    for network in ranges:
        bits = network.max_prefixlen - network.prefixlen
        if bits < 3 or (bits > _LARGEST and minor <= _LIMITED_UNTIL):
            longest, shortest = network.max_prefixlen - 3, network.max_prefixlen - _LARGEST
            yield Failure(
                f"{settings.source(SERVICES)}: {network} has too"
                f" {'few' if bits < 3 else 'many'} addresses for kube-apiserver {minor}",
                f"use a prefix length from {shortest} to {longest}",
            )


def _fixed_addresses(settings: Settings, ranges: tuple[Network, ...]) -> Iterator[Failure]:
    """Check that services with fixed addresses are in the address range of services."""
    for key, (variable, number) in _FIXED.items():
        hint = f"set for example {variable}={_address(ranges[0], number)}"
        text = settings.value(key).strip().strip("[]")
        if not addresses.is_address(text):
            yield Failure(
                f"{settings.source(key)}: {settings.value(key)!r} is not an IP address", hint
            )
            continue
        # kube-apiserver gives its own service an address of the first range
        allowed = ranges if key == "dns.server_ip" else ranges[:1]
        if not any(ipaddress.ip_address(text) in network for network in allowed):
            yield Failure(
                f"{settings.source(key)}: {text} is outside the address range of services,"
                f" {','.join(map(str, allowed))} ({settings.source(SERVICES)})",
                hint,
            )


def _address(network: Network, number: int) -> str:
    return str(network[min(number, network.num_addresses - 1)])


def _node_addresses(settings: Settings) -> Iterator[Failure]:
    texts = ip_families.items(settings.node.address)
    versions = [ipaddress.ip_address(text.strip("[]")).version for text in texts]
    if len(set(versions)) < len(versions):
        yield Failure(
            f"{settings.source(NODE)}: two addresses of the node are one of IPv4 and one of IPv6",
            "use for example 10.99.0.1,fd99::1",
        )
    elif len(versions) > 1 and not ip_families.is_dual_stack(settings):
        yield Failure(
            f"{settings.source(NODE)}: a second address of the node needs two address ranges",
            f"set two ranges in {SERVICES} or {PODS}, or remove an address",
        )


def _primary_family(settings: Settings, first: Network, node: str) -> Iterator[Failure]:
    """Check that kube-apiserver publishes an address of the family of the first service range."""
    key = "api.advertise_address"
    published = settings.api.advertise_address
    if not published:
        key = NODE if settings.node.sandbox else "api.host_ip"
        published = node if settings.node.sandbox else settings.api.host_ip
    if not addresses.is_address(published):  # reported by another check
        return
    found = ipaddress.ip_address(published)
    if found.version != first.version and not found.is_loopback:
        yield Failure(
            f"{settings.source(SERVICES)}: the first range is IPv{first.version}, but"
            f" kube-apiserver publishes the IPv{found.version} address {published}"
            f" ({settings.source(key)})",
            f"put the IPv{found.version} range first, or set api.advertise_address to an"
            f" IPv{first.version} address of this machine",
        )
    elif first.version == 6 and settings.node.sandbox and settings.start.kubelet:
        yield Failure(
            f"{settings.source(SERVICES)}: the first range is IPv6, but the node's sandbox reaches"
            " kube-apiserver over IPv4",
            "put an IPv4 range first, or set node.sandbox: false (STEPKUBE_NODE_SANDBOX=false)",
        )


def _dual_stack(
    settings: Settings, ranges: dict[str, tuple[Network, ...]], minor: Minor
) -> Iterator[Failure]:
    """Check that the version and this machine have dual stack."""
    key = next(key for key in (SERVICES, PODS) if len(ranges[key]) > 1)
    source, known = settings.source(key), facts.minor(minor).dual_stack
    if known == "none":
        since = facts.first_minor("dual_stack", "alpha")
        yield Failure(
            f"{source}: two address ranges (dual stack) need Kubernetes {since} or newer, and this"
            f" is {minor}; the alpha of 1.16 to 1.19 gives a service only one address",
            f"use one range, or version: v{since}.0 or newer",
        )
        return
    gates = shared_flags.feature_gates(Context(settings, minor, Path(os.devnull)))
    if known in ("alpha", "beta") and not gates.get(GATE, True):
        yield Failure(
            f"{source} and {settings.source('start.feature_gates')}: two address ranges need the"
            f" feature gate {GATE}, which is false",
            f"remove {GATE}=false, or use one range",
        )
    if settings.node.sandbox and settings.start.kubelet and not KERNEL.is_dir():
        yield Failure(
            f"{source}: two address ranges need IPv6, which the kernel of this machine does not"
            " have",
            "use one range, or boot the kernel without ipv6.disable=1",
        )
    widest = max(network.prefixlen for network in ranges[PODS])
    if settings.node.net_plugin == "kubenet" and widest > 64:
        yield Failure(
            f"{settings.source(PODS)}: kube-controller-manager gives each node a range of 2^64"
            f" IPv6 addresses (kubenet), and this range is smaller",
            "use an IPv6 range with a prefix length of 64 or less",
        )
