"""Content of kubeconfigs: server URL and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.settings import templates
from tasks.settings.addresses import address, host, url
from tasks.settings.cert_files import AGGREGATOR
from tasks.settings.load import ROOT, Settings

TEMPLATE = ROOT / "templates" / "kubeconfig.yaml.j2"
_AGGREGATOR_PORT = 31090  # node port of the aggregated API server in upstream's script


def server(settings: Settings, name: str) -> str:
    """Return the server URL of a kubeconfig."""
    if name == AGGREGATOR:
        return url("https", address(settings, "api.host_ip"), _AGGREGATOR_PORT)
    return url("https", host(settings, "api.host"), settings.api.secure_port)


def certificate(crt: Path, key: Path) -> dict[str, str]:
    """Return the credentials of a client certificate, by paths of files."""
    return {"client-certificate": str(crt), "client-key": str(key)}


def content(server: str, authority: Path, user: Mapping[str, str]) -> str:
    """Return the text of a kubeconfig whose one user has these fields."""
    secret = "token" in user
    return templates.render(
        TEMPLATE.name, secret, server=server, authority=str(authority), user=user
    )
