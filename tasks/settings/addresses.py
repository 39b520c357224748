"""Host names, IP addresses and URLs."""

from __future__ import annotations

import re
from ipaddress import ip_address

from tasks.core.errors import Failure
from tasks.settings.load import Settings

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
    value = str(settings.value(key)).strip().strip("[]").lower()
    if is_address(value):
        return str(ip_address(value))
    if not _NAME.fullmatch(value):
        raise wrong_address(settings, key, "a host name or an IP address", "for example: localhost")
    return value


def address(settings: Settings, key: str) -> str:
    """Return a setting that has to be an IP address."""
    value = str(settings.value(key)).strip().strip("[]")
    if not is_address(value):
        raise wrong_address(settings, key, "an IP address", "for example: 10.0.0.1 or fd00::1")
    return str(ip_address(value))


def wrong_address(settings: Settings, key: str, expected: str, hint: str) -> Failure:
    """Return the failure that says where a wrong value came from."""
    source = settings.source(key)
    return Failure(f"{source}: {settings.value(key)!r} is not {expected}", hint)


def url(scheme: str, host: str, port: int, tail: str = "") -> str:
    """Return the URL of a name, an IPv4 or an IPv6 address."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{tail}"


def loopback_for(address: str) -> str:
    """Return the address to call a server at that listens on `address`, which may mean `all`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
