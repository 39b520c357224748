"""Routes of this machine, from the kernel's tables in /proc/net."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from tasks.system import procfs

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(tables: Path = Path("/proc/net")) -> Iterator[tuple[Network, str]]:
    """Yield the networks that this machine has a route to, each with its device.

    Default routes, loopback, link-local and multicast networks are left out.
    """
    for network, device in (*_ipv4(tables / "route"), *_ipv6(tables / "ipv6_route")):
        special = network.is_loopback or network.is_link_local or network.is_multicast
        if network.prefixlen and not special and device != "lo":
            yield network, device


def _ipv4(table: Path) -> Iterator[tuple[Network, str]]:
    for line in procfs.read(table).splitlines()[1:]:
        columns = line.split()
        address, mask = (int(columns[at], 16).to_bytes(4, "little") for at in (1, 7))
        text = f"{ipaddress.IPv4Address(address)}/{ipaddress.IPv4Address(mask)}"
        yield ipaddress.IPv4Network(text), columns[0]


def _ipv6(table: Path) -> Iterator[tuple[Network, str]]:
    for line in procfs.read(table).splitlines():
        columns = line.split()
        address = ipaddress.IPv6Address(bytes.fromhex(columns[0]))
        yield ipaddress.IPv6Network(f"{address}/{int(columns[1], 16)}"), columns[9]
