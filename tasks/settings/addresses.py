"""Host names, IP addresses and URLs in settings."""

from __future__ import annotations

import re
from ipaddress import ip_address

from tasks.core.errors import Failure
from tasks.settings.load import Settings

# four numbers with dots are never a name: an invalid IPv4 address is a typing error
_NAME = re.compile(r"(?!\d+(\.\d+){3}$)[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?")


def is_address(host: str) -> bool:
    """Return whether a host is an IPv4 or IPv6 address, not a name."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def host(settings: Settings, key: str) -> str:
    """Return the host name or IP address of a setting, in the normal form used in certificates.

    Raises Failure if it is neither.
    """
    value = str(settings.value(key)).strip().strip("[]").lower()
    if is_address(value):
        return str(ip_address(value))
    if not _NAME.fullmatch(value):
        raise wrong_address(
            settings, key, "a host name or an IP address", "use for example localhost"
        )
    return value


def address(settings: Settings, key: str) -> str:
    """Return the IP address of a setting, in normal form. Raises Failure if it is not one."""
    value = str(settings.value(key)).strip().strip("[]")
    if not is_address(value):
        raise wrong_address(settings, key, "an IP address", "use for example 10.0.0.1 or fd00::1")
    return str(ip_address(value))


def wrong_address(settings: Settings, key: str, expected: str, hint: str) -> Failure:
    """Return the failure for a value that is not `expected`, with the value's source."""
    source = settings.source(key)
    return Failure(f"{source}: {settings.value(key)!r} is not {expected}", hint)


def url(scheme: str, host: str, port: int, path: str = "") -> str:
    """Return a URL; an IPv6 host gets brackets."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


def loopback_for(address: str) -> str:
    """Return the address for local clients of a server: loopback if it listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
