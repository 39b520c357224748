"""Proxy variables and certificate authorities for every program that is started.

Programs read the proxy variables in different spellings, and get certificate authorities in
different ways. Each program gets all spellings, and one file with all authorities.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
SYSTEM_CAS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
)
"""Files with the authorities that a distribution trusts (the list of Go's crypto/x509)."""


def proxy_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables in both spellings: curl and apt read `http_proxy` only."""
    found: dict[str, str] = {}
    for name in PROXIES:
        value = environ.get(name) or environ.get(name.upper())
        if value:
            found |= {name: value, name.upper(): value}
    return found


def ca_variables(settings: Settings) -> dict[str, str]:
    """Return the variables that make git, curl and Go trust mirror.ca_bundle; empty if not set."""
    bundle = ca_file(settings)
    return {"SSL_CERT_FILE": bundle, "GIT_SSL_CAINFO": bundle} if bundle else {}


def ca_file(settings: Settings) -> str:
    """Return a file with the system's authorities and mirror.ca_bundle; empty if that is not set.

    The programs read one file instead of the system's, and they connect to public hosts in
    addition to a mirror with a private authority. Raises Failure for an unusable mirror.ca_bundle.
    """
    extra = settings.mirror.ca_bundle
    if not extra:
        return ""
    ssl_context(extra)
    system = next((Path(name) for name in SYSTEM_CAS if Path(name).is_file()), None)
    if system is None or system.samefile(extra):
        return str(Path(extra).absolute())
    both = settings.paths.cache / "authorities.pem"
    files.write_if_changed(both, system.read_bytes() + b"\n" + Path(extra).read_bytes())
    return str(both)


def ssl_context(bundle: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities and those of a file.

    Raises Failure that names mirror.ca_bundle when the file has no usable authorities.
    """
    context = ssl.create_default_context()
    if bundle:
        try:
            context.load_verify_locations(bundle)
        except OSError as error:
            raise Failure(
                f"{bundle} has no usable certificate authorities: {error.strerror or error}",
                "set mirror.ca_bundle (SSL_CERT_FILE) to a PEM file with certificates",
            ) from error
    return context


def require_url(url: str, where: str) -> None:
    """Raise Failure when the value of the setting `where` is not an http, https or file address."""
    try:
        valid = re.fullmatch(r"(https?|file)://\S+", url) and urlsplit(url).port != 0
    except ValueError:
        valid = False
    if not valid:
        raise Failure(
            f"{where}: {url!r} is not an address",
            "use an address such as https://mirror.example.org/path",
        )


def environment(settings: Settings) -> dict[str, str]:
    """Return the process environment with the proxy and authority variables added."""
    return {**os.environ, **proxy_variables(os.environ), **ca_variables(settings)}
