"""Port forwards between the host and the sandbox."""

from __future__ import annotations

import ipaddress

from tasks.components import containerd
from tasks.components.kubelet_config import TRACING_PORT
from tasks.core.errors import Failure
from tasks.settings import addresses, ip_families
from tasks.settings.load import Settings


def mappings(settings: Settings) -> list[str]:
    """Return the mappings of the main forwarder; runtime/forwarder.py describes their format.

    The ports of node.forward lead to the node's address, because not every kube-proxy serves
    NodePorts on loopback. Raises Failure for an invalid port in node.forward.
    """
    api, target = settings.api.secure_port, "127.0.0.1"
    if not settings.start.control_plane:
        target = non_loopback_api_host(settings) or target
    found = [f"out:0.0.0.0:{api}:{target}:{api}"]
    if settings.kubelet.tracing:
        found.append(f"out:127.0.0.1:{TRACING_PORT}:127.0.0.1:{TRACING_PORT}")
    if settings.node.pull:
        found.append(f"proxy:127.0.0.1:{containerd.PROXY_PORT}")
    node = ip_families.node_addresses(settings)[0]
    for entry in settings.node.forward:
        host, _, inside = entry.partition(":")
        for number in (host, inside or host):
            if not (number.isascii() and number.isdecimal()) or not 0 < int(number) < 65536:
                source = settings.source("node.forward")
                raise Failure(
                    f"{source}: {entry!r} is not a port",
                    "use a port (30080) or HOST:SANDBOX (8080:30080), each from 1 to 65535",
                )
        found.append(f"in:127.0.0.1:{host}:{node}:{inside or host}")
    return found


def non_loopback_api_host(settings: Settings) -> str:
    """Return the host of kube-apiserver in the kubeconfigs; empty when it is loopback."""
    host = addresses.host(settings, "api.host")
    loopback = addresses.is_address(host) and ipaddress.ip_address(host).is_loopback
    return "" if loopback or host == "localhost" else host


def inward_mapping(port: int) -> str:
    """Return the mapping from a port of the host's loopback to the same port in the sandbox."""
    return f"in:127.0.0.1:{port}:127.0.0.1:{port}"
