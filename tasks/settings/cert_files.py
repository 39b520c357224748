"""Paths of certificates, keys, kubeconfigs and the token file."""

from __future__ import annotations

from pathlib import Path

from tasks.settings.load import Settings
from tasks.settings.paths import absolute

AGGREGATOR = "admin-kube-aggregator"
CLIENTS = {
    "admin": "client-admin",
    "kubelet": "client-kubelet",
    "kube-proxy": "client-kube-proxy",
    "controller": "client-controller",
    "scheduler": "client-scheduler",
    "kube-aggregator": "client-kube-aggregator",
    AGGREGATOR: "client-admin",
}
"""Every kubeconfig, with the stem of the certificate it uses."""


def pair(settings: Settings, stem: str) -> tuple[Path, Path]:
    """Return the paths of a certificate and of its key."""
    return settings.paths.certs / f"{stem}.crt", settings.paths.certs / f"{stem}.key"


def client_authorities(settings: Settings) -> tuple[Path, Path]:
    """Return the CAs that servers trust for clients, and for a proxy that speaks for them."""
    return pair(settings, "client-ca")[0], pair(settings, "request-header-ca")[0]


def service_account_key(settings: Settings) -> Path:
    """Return the key that signs service account tokens: the user's, or the one made here."""
    own = absolute(settings.certs.service_account_key)
    return Path(own) if own else settings.paths.certs / "service-account.key"


def kubeconfig_files(settings: Settings, name: str) -> tuple[Path, Path, Path, Path]:
    """Return a kubeconfig and the files it names: authority, certificate, key."""
    authority, _ = pair(settings, "server-ca")
    return (settings.paths.kubeconfig(name), authority, *pair(settings, CLIENTS[name]))


def token_file(settings: Settings) -> Path:
    """Return the file that tells kube-apiserver whose the administrator's token is."""
    return settings.paths.certs / "tokens.csv"
