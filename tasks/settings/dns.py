"""Settings of cluster DNS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import option

DnsAddon = Literal["", "coredns", "kube-dns"]


@dataclass(frozen=True)
class Dns:
    """Cluster DNS: its server, its node cache, and its addresses."""

    enabled: bool = option(True, "run cluster DNS", "KUBE_ENABLE_CLUSTER_DNS")
    addon: DnsAddon = option(
        "",
        "DNS server; empty means kube-dns up to 1.20, coredns from 1.21",
        "DNS_ADDON",
        variable_since="1.21",
    )
    memory_limit: str = option(
        "170Mi", "memory limit of the DNS server", "KUBE_DNS_MEMORY_LIMIT", since="1.15"
    )
    nodelocal: bool = option(
        False,
        "run a DNS cache on the node for its pods",
        "KUBE_ENABLE_NODELOCAL_DNS",
        since="1.13",
    )
    local_ip: str = option(
        "169.254.20.10", "address of the node's DNS cache", "KUBE_LOCAL_DNS_IP", since="1.13"
    )
    server_ip: str = option("10.0.0.10", "address of the DNS service", "KUBE_DNS_SERVER_IP")
    domain: str = option("cluster.local", "domain of the cluster", "KUBE_DNS_NAME")
