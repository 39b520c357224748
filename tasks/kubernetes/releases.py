"""Kubernetes release names: is it a minor, which release is the newest, does a version match."""

from __future__ import annotations

import re
from collections.abc import Iterable


def is_minor(requested: str) -> bool:
    """Return whether a text names a minor, such as v1.32, not one version of a minor."""
    return re.fullmatch(r"v[0-9]{1,9}\.[0-9]{1,9}", requested) is not None


def is_release(tag: str) -> bool:
    """Return whether a tag is a release or pre-release of upstream, such as v1.32.0-rc.1."""
    return re.fullmatch(r"v1(\.[0-9]{1,9}){2}(-(alpha|beta|rc)\.[0-9]{1,9})?", tag) is not None


def newest(requested: str, offered: Iterable[str]) -> str:
    """Return the newest of the offered releases, or the newest of a requested minor.

    Pre-releases do not count. The result is empty if no release matches.
    """
    prefix = f"{requested}." if is_minor(requested) else ""
    releases = [name for name in offered if re.fullmatch(r"v[0-9]{1,9}(\.[0-9]{1,9}){2}", name)]
    matching = [name for name in releases if name.startswith(prefix)]
    return max(matching, key=lambda name: [int(n) for n in name[1:].split(".")], default="")


def satisfies(version: str, requested: str) -> bool:
    """Return whether a version is the requested one, or belongs to the requested minor."""
    same_minor = is_minor(requested) and version.startswith(f"{requested}.")
    return same_minor or requested in ("auto", version)
