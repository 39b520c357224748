"""Warnings about settings that let downloads travel without TLS or without verification."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from tasks.components import image_mirrors
from tasks.core.errors import Failure
from tasks.core.redact import mask
from tasks.gomod import goproxy
from tasks.settings.load import Settings


def warnings(settings: Settings) -> Iterator[str]:
    """Yield a warning for each address without TLS, and for a checksum database that is off.

    The packages of mirror.apt have signatures, which apt checks without regard to TLS. Raises
    Failure for an address whose host or port is wrong.
    """
    mirror, origin = settings.mirror, settings.origin
    addresses = {
        "mirror.goproxy": goproxy.addresses(settings),
        "mirror.gosumdb": mirror.gosumdb.split()[1:],
        "mirror.go": mirror.go,
        "mirror.cni": mirror.cni,
        "mirror.images": image_mirrors.mirrors(settings).values(),
        "mirror.git": mirror.git,
        "origin.git": origin.git,
        "origin.tarball": [] if origin.tarball_sha256 else [origin.tarball],
    }
    for key, urls in addresses.items():
        for url in urls:
            _require_host(url, settings.source(key))
            if is_plain(url):
                yield (
                    f"{settings.source(key)}: {mask(url)} is without TLS: everyone on the network"
                    " can read and change what it sends; use an https address"
                )
    if mirror.gosumdb == "off":
        yield (
            f"{settings.source('mirror.gosumdb')}: off: Go and Go modules are not verified; use"
            " sum.golang.org"
        )


def _require_host(url: str, source: str) -> None:
    try:
        _ = urlsplit(url).port if "://" in url else None
    except ValueError as error:
        raise Failure(
            f"{source}: {mask(url)!r} is not an address: {error}",
            "use an address such as https://mirror.example.org/path",
        ) from error


def is_plain(url: str) -> bool:
    """Return whether a download from this address leaves the machine without TLS."""
    if not re.match(r"(http|ftp|git)://", url, re.IGNORECASE):
        return False
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
