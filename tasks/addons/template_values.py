"""Values for the placeholders in the tree's manifests, which are written in several ways."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from tasks.core.errors import Failure
from tasks.settings import ip_families
from tasks.settings.addresses import address, wrong_address
from tasks.settings.load import Settings

# {{ pillar['dns_server'] }}, __PILLAR__DNS__SERVER__, __DNS__SERVER__, $DNS_SERVER_IP, dns_server
_PLACEHOLDER = re.compile(
    r"\{\{\s*pillar\['(\w+)'\]\s*\}\}|__(?:PILLAR__)?([A-Z]+(?:_+[A-Z]+)*)__"
    r"|\$(DNS_[A-Z_]+)|\b(dns_[a-z_]+)\b"
)
_FILLED_LATER = {"cluster_dns", "upstream_servers"}
"""Placeholders that the pod of the node's DNS cache replaces itself."""
_QUANTITY = re.compile(r"\d+(\.\d+)?([KMGTPE]i|[kMGTPE])?")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


def fill(path: Path, settings: Settings) -> str:
    """Return the text of a file with values for its placeholders.

    Raises Failure if a placeholder is unknown, or if the setting for it is invalid.
    """
    unknown: list[str] = []

    def value(found: re.Match[str]) -> str:
        name = re.sub("_+", "_", next(filter(None, found.groups()))).lower()
        if name in _VALUES:
            return _VALUES[name](settings)
        if name not in _FILLED_LATER:
            unknown.append(found[0])
        return found[0]

    text = _PLACEHOLDER.sub(value, path.read_text(errors="replace"))
    if unknown:
        raise Failure(
            f"{path} has unknown placeholders: {', '.join(sorted(set(unknown)))}",
            "replace them in the file, or switch the addon off",
        )
    return text


def dns_domain(settings: Settings) -> str:
    """Return the DNS domain of the cluster. Raises Failure if it is not a domain."""
    return _checked(settings, "dns.domain", _DOMAIN, "a domain", "use for example cluster.local")


def dns_memory_limit(settings: Settings) -> str:
    """Return the memory limit of the DNS server. Raises Failure if it is not a quantity."""
    return _checked(settings, "dns.memory_limit", _QUANTITY, "a quantity", "use for example 170Mi")


def node_local_dns(settings: Settings) -> str:
    """Return the address of the node's DNS cache. Raises Failure if it is not an IP address."""
    return address(settings, "dns.local_ip")


def _dns_server(settings: Settings) -> str:
    """Return the address of the DNS service.

    Raises Failure if it is not an address in api.service_cluster_ip_range.
    """
    server = address(settings, "dns.server_ip")
    ranges = settings.api.service_cluster_ip_range
    networks = ip_families.networks(settings, ip_families.SERVICES)
    if not any(ip_address(server) in network for network in networks):
        hint = "use another address, or change SERVICE_CLUSTER_IP_RANGE"
        raise wrong_address(settings, "dns.server_ip", f"an address in {ranges}", hint)
    return server


_VALUES: dict[str, Callable[[Settings], str]] = {
    "dns_server": _dns_server,
    "dns_server_ip": _dns_server,
    "dns_domain": dns_domain,
    "dns_memory_limit": dns_memory_limit,
    "local_dns": node_local_dns,
}
"""Values by placeholder. They are checked, because YAML gets them without quotes."""


def _checked(
    settings: Settings, key: str, pattern: re.Pattern[str], expected: str, hint: str
) -> str:
    value = str(settings.value(key))
    if pattern.fullmatch(value) is None:
        raise wrong_address(settings, key, expected, hint)
    return value
