"""Every certificate of a cluster: who it names and who signs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.settings import addresses
from tasks.settings.addresses import address, host, is_address
from tasks.settings.load import Settings

Paths = tuple[Path, Path]

_USER = "system:node:{}"

_USER_LIMIT = 64  # of a common name, by RFC 5280


@dataclass(frozen=True)
class Certificate:
    """What a certificate has to say; `ca` is the stem of its signer, empty for its own.

    An authority that names another one in `ca` is a copy of it.
    """

    stem: str
    common_name: str
    usage: Literal["authority", "server", "client"]
    ca: str = ""
    groups: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()


def certificates(settings: Settings) -> tuple[Certificate, ...]:
    """Return every certificate of the cluster, each authority before what it signs."""
    api, node = host(settings, "api.host"), host(settings, "kubelet.hostname_override")
    api_ip, node_ip = address(settings, "api.host_ip"), address(settings, "node.address")
    service_ip = address(settings, "api.first_service_cluster_ip")
    user = _USER.format(node)
    if len(user) > _USER_LIMIT:
        raise addresses.wrong_address(
            settings,
            "kubelet.hostname_override",
            "short enough for a certificate",
            f"use at most {_USER_LIMIT - len(_USER.format(''))} characters",
        )
    sandbox = (node_ip,) if settings.node.sandbox else ()
    one_ca = "server-ca" if settings.certs.single_ca else ""
    return (
        Certificate("server-ca", "server-ca", "authority"),
        Certificate("client-ca", "client-ca", "authority", one_ca),
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
        _serving("kubelet", user, ("localhost", "127.0.0.1", node, node_ip), "system:nodes"),
        _client("admin", "system:admin", "system:masters"),
        _client("kubelet", user, "system:nodes"),
        _client("kube-proxy", "system:kube-proxy", "system:nodes"),
        _client("controller", "system:kube-controller-manager"),
        _client("scheduler", "system:kube-scheduler"),
        _client("kube-aggregator", "system:kube-aggregator", "system:masters"),
        _client("kube-apiserver", "kube-apiserver"),
        _client("auth-proxy", "system:auth-proxy", ca="request-header-ca"),
    )


def _client(name: str, user: str, *groups: str, ca: str = "client-ca") -> Certificate:
    return Certificate(f"client-{name}", user, "client", ca, groups)


def _serving(name: str, common_name: str, hosts: tuple[str, ...], *groups: str) -> Certificate:
    unique = tuple(dict.fromkeys(hosts))
    ips = tuple(filter(is_address, unique))
    dns = tuple(name for name in unique if name not in ips)
    return Certificate(f"serving-{name}", common_name, "server", "server-ca", groups, dns, ips)
