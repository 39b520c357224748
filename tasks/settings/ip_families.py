"""Address ranges of services and pods: one range, or two for a dual-stack cluster."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from tasks.core.errors import Failure
from tasks.settings.addresses import is_address, wrong_address
from tasks.settings.load import Settings

Network = IPv4Network | IPv6Network
SERVICES, PODS = "api.service_cluster_ip_range", "controller_manager.cluster_cidr"
NODE = "node.address"
GATE = "IPv6DualStack"
"""The feature gate of dual stack, up to 1.24."""
_SECOND_NODE_ADDRESS = "fd99:5eed::1"
"""The node's IPv6 address in the sandbox of a dual-stack cluster, unless the user sets one."""


def items(text: str) -> tuple[str, ...]:
    """Return the items of a text with commas between them, without blanks around them."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def networks(settings: Settings, key: str) -> tuple[Network, ...]:
    """Return the address ranges of a setting. Raises Failure if one of them is not a range."""
    found: list[Network] = []
    for text in items(settings.value(key)) or ("",):
        try:
            if "/" not in text:
                raise ValueError
            found.append(ip_network(text, strict=False))
        except ValueError:
            raise Failure(
                f"{settings.source(key)}: {text!r} is not an IP address range",
                "use for example 10.0.0.0/24, or 10.0.0.0/24,fd00:1::/112 for dual stack",
            ) from None
    return tuple(found)


def is_dual_stack(settings: Settings) -> bool:
    """Return whether services or pods have two address ranges: an IPv4 and an IPv6 one."""
    return any(len(items(settings.value(key))) > 1 for key in (SERVICES, PODS))


def node_addresses(settings: Settings) -> tuple[str, ...]:
    """Return the node's addresses in its sandbox, IPv4 first: one, or two with dual stack.

    Raises Failure for an item of node.address that is not an IP address.
    """
    given: dict[int, str] = {}
    for text in items(settings.node.address) or ("",):
        if not is_address(text.strip("[]")):
            raise wrong_address(
                settings, NODE, "an IP address", "use for example 10.99.0.1 or fd00::1"
            )
        address = ip_address(text.strip("[]"))
        given.setdefault(address.version, str(address))
    if not is_dual_stack(settings):
        return tuple(given.values())[:1]
    default = type(settings.node)().address
    both = {4: default, 6: _SECOND_NODE_ADDRESS} | given
    return both[4], both[6]
