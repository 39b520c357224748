"""Credentials in addresses: hidden wherever text is shown, and kept out of argument lists."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

_SECRET = re.compile(
    r"(https?://)[^/\s'\"]*@|(\w[\w+.-]*://[^/\s:@'\"]*):[^/\s'\"]*@", re.IGNORECASE
)


def mask(text: str) -> str:
    """Return a text in which no address shows its password, nor http(s) ones their user."""
    return _SECRET.sub(lambda found: f"{found[1] or found[2] + ':'}***@", text)


def masked(value: Any) -> Any:
    """Return settings as they may be written down: doit shows what a task depends on."""
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return mask(value) if isinstance(value, str) else value


def split(url: str) -> tuple[str, str, str]:
    """Return an http(s) address without its credentials, its user and its password.

    Any other address comes back as it is: ssh needs its user, a path has none.
    """
    if not re.match(r"https?://[^/]*@", url, re.IGNORECASE):
        return url, "", ""
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all: who uses it tells what is wrong
        return url, "", ""
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)), unquote(user), unquote(password)
