"""What every program we start is told of the network: proxies, and whom to trust.

Programs differ in the spelling of the proxy variables they read and in how they are told of a
certificate authority; here each gets all spellings, and one file with all authorities.
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
"""Where distributions keep the authorities they trust (the list Go's crypto/x509 looks through)."""


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables in both spellings: curl and apt only read `http_proxy`."""
    found: dict[str, str] = {}
    for name in PROXIES:
        value = environ.get(name) or environ.get(name.upper())
        if value:
            found |= {name: value, name.upper(): value}
    return found


def authorities(settings: Settings) -> dict[str, str]:
    """Return the variables that make git, curl and Go trust mirror.ca_bundle; empty without one."""
    bundle = trusted(settings)
    return {"SSL_CERT_FILE": bundle, "GIT_SSL_CAINFO": bundle} if bundle else {}


def trusted(settings: Settings) -> str:
    """Return a file with the system's authorities and those of mirror.ca_bundle; empty for none.

    The programs take one file in place of the system's, but a mirror with a private authority is
    seldom the only host that is talked to.
    """
    extra = settings.mirror.ca_bundle
    if not extra:
        return ""
    require_authorities(extra)
    system = next((Path(name) for name in SYSTEM_CAS if Path(name).is_file()), None)
    if system is None or system.samefile(extra):
        return str(Path(extra).absolute())
    both = settings.paths.cache / "authorities.pem"
    files.write_if_changed(both, system.read_bytes() + b"\n" + Path(extra).read_bytes())
    return str(both)


def require_authorities(bundle: str) -> ssl.SSLContext:
    """Return a context that trusts a file's authorities too; a Failure names mirror.ca_bundle."""
    context = ssl.create_default_context()
    if bundle:
        try:
            context.load_verify_locations(bundle)
        except OSError as error:
            raise Failure(
                f"{bundle} has no usable certificate authorities: {error.strerror or error}",
                "correct mirror.ca_bundle (SSL_CERT_FILE)",
            ) from error
    return context


def require_url(url: str, where: str) -> None:
    """Raise Failure naming the setting whose value is no http, https or file address."""
    try:
        good = re.fullmatch(r"(https?|file)://\S+", url) and urlsplit(url).port != 0
    except ValueError:
        good = False
    if not good:
        raise Failure(
            f"{where}: {url!r} is not an address", "write it like https://mirror.example.org/path"
        )


def environment(settings: Settings) -> dict[str, str]:
    """Return our environment with the proxies and authorities every program understands."""
    return {**os.environ, **proxies(os.environ), **authorities(settings)}
