"""List of the cluster's certificates: subject, names and signer of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.settings import addresses, ip_families
from tasks.settings.addresses import address, host, is_address
from tasks.settings.load import Settings

PairPaths = tuple[Path, Path]
"""Paths of a certificate and of its key."""

_NODE_USER = "system:node:{}"

_COMMON_NAME_LIMIT = 64  # characters, RFC 5280


@dataclass(frozen=True)
class Certificate:
    """Desired content of a certificate."""

    stem: str
    """File name without .crt or .key."""
    common_name: str
    usage: Literal["authority", "server", "client", "peer"]
    """`peer`: server and client at once."""
    ca: str = ""
    """Stem of the signer; empty if self-signed. An authority with a `ca` is a copy of that one."""
    groups: tuple[str, ...] = ()
    """Organizations of the subject, which Kubernetes reads as groups."""
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()


def certificates(settings: Settings) -> tuple[Certificate, ...]:
    """Return all certificates of the cluster, each authority before the certificates it signs.

    Raises Failure, which names the setting, for an invalid host, address or node name.
    """
    api, node = host(settings, "api.host"), host(settings, "kubelet.hostname_override")
    api_ip, node_ips = address(settings, "api.host_ip"), ip_families.node_addresses(settings)
    service_ip = address(settings, "api.first_service_cluster_ip")
    user = _NODE_USER.format(node)
    if len(user) > _COMMON_NAME_LIMIT:
        raise addresses.wrong_address(
            settings,
            "kubelet.hostname_override",
            "short enough for a certificate",
            f"use at most {_COMMON_NAME_LIMIT - len(_NODE_USER.format(''))} characters",
        )
    sandbox = node_ips if settings.node.sandbox else ()
    services = ip_families.networks(settings, ip_families.SERVICES)
    etcd = addresses.loopback_for(host(settings, "etcd.host"))
    client_ca_signer = "server-ca" if settings.certs.single_ca else ""
    return (
        Certificate("server-ca", "server-ca", "authority"),
        Certificate("client-ca", "client-ca", "authority", client_ca_signer),
        Certificate("request-header-ca", "request-header-ca", "authority"),
        _serving(
            "kube-apiserver",
            "kubernetes.default",
            (
                "kubernetes.default",
                "kubernetes.default.svc",
                "localhost",
                "127.0.0.1",
                api_ip,
                api,
                service_ip,
                *(str(network[1]) for network in services[1:]),
                *sandbox,
            ),
        ),
        _serving(
            "kube-aggregator",
            "api.kube-public.svc",
            (
                "api.kube-public.svc",
                "localhost",
                api_ip,
            ),
        ),
        _serving("kubelet", user, ("localhost", "127.0.0.1", node, *node_ips), "system:nodes"),
        _client("admin", "system:admin", "system:masters"),
        _client("kubelet", user, "system:nodes"),
        _client("kube-proxy", "system:kube-proxy", "system:nodes"),
        _client("controller", "system:kube-controller-manager"),
        _client("scheduler", "system:kube-scheduler"),
        _client("kube-aggregator", "system:kube-aggregator", "system:masters"),
        _client("kube-apiserver", "kube-apiserver"),
        _client("auth-proxy", "system:auth-proxy", ca="request-header-ca"),
        # a client with a certificate of this CA can read and write every object
        Certificate("etcd-ca", "etcd-ca", "authority"),
        # etcd also uses it as a client of itself
        _serving("etcd", "etcd", ("localhost", "127.0.0.1", "::1", etcd), ca="etcd-ca", peer=True),
        _client("etcd", "etcd-client", ca="etcd-ca"),
    )


def _client(name: str, user: str, *groups: str, ca: str = "client-ca") -> Certificate:
    return Certificate(f"client-{name}", user, "client", ca, groups)


def _serving(
    name: str,
    common_name: str,
    hosts: tuple[str, ...],
    *groups: str,
    ca: str = "server-ca",
    peer: bool = False,
) -> Certificate:
    unique = tuple(dict.fromkeys(hosts))
    ips = tuple(filter(is_address, unique))
    dns = tuple(name for name in unique if name not in ips)
    usage: Literal["peer", "server"] = "peer" if peer else "server"
    return Certificate(f"serving-{name}", common_name, usage, ca, groups, dns, ips)
