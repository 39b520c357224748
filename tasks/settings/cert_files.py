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
"""All kubeconfigs, each with the stem (file name without suffix) of its client certificate."""


def pair(settings: Settings, stem: str) -> tuple[Path, Path]:
    """Return the paths of a certificate and its key, by their stem."""
    return settings.paths.certs / f"{stem}.crt", settings.paths.certs / f"{stem}.key"


def client_authorities(settings: Settings) -> tuple[Path, Path]:
    """Return the paths of two CAs that servers trust: of clients, and of authenticating proxies."""
    return pair(settings, "client-ca")[0], pair(settings, "request-header-ca")[0]


def etcd_client(settings: Settings) -> tuple[Path, Path, Path]:
    """Return the files of a client of etcd: authority, certificate, key."""
    return pair(settings, "etcd-ca")[0], *pair(settings, "client-etcd")


def service_account_key(settings: Settings) -> Path:
    """Return the path of the key that signs service account tokens: the user's or the instance's.

    The setting certs.service_account_key is the user's key.
    """
    user_key = absolute(settings.certs.service_account_key)
    return Path(user_key) if user_key else settings.paths.certs / "service-account.key"


def kubeconfig_files(settings: Settings, name: str) -> tuple[Path, Path, Path, Path]:
    """Return the paths of a kubeconfig and of its files: CA, client certificate, key."""
    authority, _ = pair(settings, "server-ca")
    return (settings.paths.kubeconfig(name), authority, *pair(settings, CLIENTS[name]))


def token_file(settings: Settings) -> Path:
    """Return the path of the token file of kube-apiserver: the administrator's token and user."""
    return settings.paths.certs / "tokens.csv"
