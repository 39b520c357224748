"""Where clients reach the cluster: hosts as the settings name them, and kubeconfigs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.settings import templates
from tasks.settings.addresses import address, host, url
from tasks.settings.cert_files import AGGREGATOR
from tasks.settings.load import ROOT, Settings

TEMPLATE = ROOT / "templates" / "kubeconfig.yaml.j2"
_AGGREGATOR_PORT = 31090  # the node port upstream gives the aggregated API server


def server(settings: Settings, name: str) -> str:
    """Return the URL a kubeconfig points at."""
    if name == AGGREGATOR:
        return url("https", address(settings, "api.host_ip"), _AGGREGATOR_PORT)
    return url("https", host(settings, "api.host"), settings.api.secure_port)


def certificate(crt: Path, key: Path) -> dict[str, str]:
    """Return the fields of a user who logs in by a certificate, in files that are only named."""
    return {"client-certificate": str(crt), "client-key": str(key)}


def content(server: str, authority: Path, user: Mapping[str, str]) -> str:
    """Render a kubeconfig of one user with these fields."""
    return templates.render(TEMPLATE.name, server=server, authority=str(authority), user=user)
