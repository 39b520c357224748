"""Where clients reach the cluster: hosts as the settings name them, and kubeconfigs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from operator import attrgetter
from pathlib import Path

from tasks.core.errors import Failure
from tasks.settings.load import ROOT, Settings

TEMPLATE = ROOT / "templates" / "kubeconfig.yaml.j2"
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

_AGGREGATOR_PORT = 31090  # the node port upstream gives the aggregated API server
# what looks like an IPv4 address and is none is a typing error, not a name
_NAME = re.compile(r"(?!\d+(\.\d+){3}$)[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?")


def is_address(host: str) -> bool:
    """Tell an IPv4 or IPv6 address from a name."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def host(settings: Settings, key: str) -> str:
    """Return a setting that is a name or an address, spelled as certificates spell it."""
    value = str(attrgetter(key)(settings)).strip().strip("[]").lower()
    if is_address(value):
        return str(ip_address(value))
    if not _NAME.fullmatch(value):
        raise refusal(settings, key, "a host name or an IP address", "for example: localhost")
    return value


def address(settings: Settings, key: str) -> str:
    """Return a setting that has to be an IP address."""
    value = str(attrgetter(key)(settings)).strip().strip("[]")
    if not is_address(value):
        raise refusal(settings, key, "an IP address", "for example: 10.0.0.1 or fd00::1")
    return str(ip_address(value))


def refusal(settings: Settings, key: str, expected: str, hint: str) -> Failure:
    """Return the failure that says where a wrong value came from."""
    source = settings.sources.get(key, key)
    return Failure(f"{source}: {attrgetter(key)(settings)!r} is not {expected}", hint)


def server(settings: Settings, name: str) -> str:
    """Return the URL a kubeconfig points at."""
    if name == AGGREGATOR:
        return _url(address(settings, "api.host_ip"), _AGGREGATOR_PORT)
    return _url(host(settings, "api.host"), settings.api.secure_port)


def certificate(crt: Path, key: Path) -> dict[str, str]:
    """Return the fields of a user who logs in by a certificate, in files that are only named."""
    return {"client-certificate": str(crt), "client-key": str(key)}


def content(server: str, authority: Path, user: Mapping[str, str]) -> str:
    """Render a kubeconfig of one user with these fields."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - `doit list` stays fast

    # YAML, not HTML: the template quotes every value as JSON
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    template = environment.from_string(TEMPLATE.read_text())
    return template.render(server=server, authority=str(authority), user=user)


def _url(name: str, port: int) -> str:
    return f"https://[{name}]:{port}" if ":" in name else f"https://{name}:{port}"
