"""Settings of kube-proxy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import option

ProxyMode = Literal["", "iptables", "ipvs", "nftables", "userspace"]


@dataclass(frozen=True)
class Proxy:
    """kube-proxy."""

    mode: ProxyMode = option(
        "",
        "proxy mode; empty means iptables, and so does ipvs if the kernel has no IPVS",
        "KUBE_PROXY_MODE",
    )
    healthz_port: int = option(
        10256, "port of /healthz", "PROXY_HEALTHZ_PORT", variable_since="1.29"
    )
    metrics_port: int = option(
        10249, "port of /metrics", "PROXY_METRICS_PORT", variable_since="1.29"
    )
