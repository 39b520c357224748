"""Ports of the sandbox and of the host that are connected with each other."""

from __future__ import annotations

import ipaddress

from tasks.components import containerd
from tasks.components.kubelet_config import TRACES
from tasks.core.errors import Failure
from tasks.settings import addresses
from tasks.settings.load import Settings


def mappings(settings: Settings) -> list[str]:
    """Return what the main forwarder connects, in the words of runtime/forwarder.py.

    Forwarded ports lead to the node's address: not every kube-proxy serves NodePorts on loopback.
    """
    api, target = settings.api.secure_port, "127.0.0.1"
    if not settings.start.control_plane:
        target = other_host(settings) or target
    found = [f"out:0.0.0.0:{api}:{target}:{api}"]
    if settings.kubelet.tracing:
        found.append(f"out:127.0.0.1:{TRACES}:127.0.0.1:{TRACES}")
    if settings.node.pull:
        found.append(f"proxy:127.0.0.1:{containerd.PROXY_PORT}")
    for words in settings.node.forward:
        host, _, inside = words.partition(":")
        for number in (host, inside or host):
            if not number.isdigit() or not 0 < int(number) < 65536:
                source = settings.source("node.forward")
                raise Failure(
                    f"{source}: {words!r} is not a port", "for example 30080, or 8080:30080"
                )
        found.append(f"in:127.0.0.1:{host}:{settings.node.address}:{inside or host}")
    return found


def other_host(settings: Settings) -> str:
    """Return what the kubeconfigs call kube-apiserver, unless that is loopback anyway."""
    host = addresses.host(settings, "api.host")
    loopback = addresses.is_address(host) and ipaddress.ip_address(host).is_loopback
    return "" if loopback or host == "localhost" else host


def inward_mapping(port: int) -> str:
    """Return the mapping that brings a port of the sandbox to the same one of the host."""
    return f"in:127.0.0.1:{port}:127.0.0.1:{port}"
