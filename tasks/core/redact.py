"""Passwords in URLs: masked in every printed text, and removed from command lines."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

_SECRET = re.compile(
    r"(https?://)[^/\s'\"]*@|(\w[\w+.-]*://[^/\s:@'\"]*):[^/\s'\"]*@", re.IGNORECASE
)


def mask(text: str) -> str:
    """Replace the password of every URL in a text by ***; in http(s) URLs, the user too."""
    return _SECRET.sub(lambda match: f"{match[1] or match[2] + ':'}***@", text)


def masked(value: Any) -> Any:
    """Return a copy of a settings value with masked URLs: doit stores and prints such values."""
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return mask(value) if isinstance(value, str) else value


def split(url: str) -> tuple[str, str, str]:
    """Split an http(s) URL into the URL without credentials, the user and the password.

    Any other text is returned unchanged with no user and password: ssh needs the user in its URL,
    and a path has none.
    """
    if not re.match(r"https?://[^/]*@", url, re.IGNORECASE):
        return url, "", ""
    try:
        parts = urlsplit(url)
    except ValueError:  # not a URL: the caller reports it when it uses the URL
        return url, "", ""
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)), unquote(user), unquote(password)
