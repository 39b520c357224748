"""Kubernetes release names: minors, pre-releases, which is newest."""

from __future__ import annotations

import re
from collections.abc import Iterable


def is_minor(wanted: str) -> bool:
    """Tell whether a text names a minor, such as v1.32, and no single version of it."""
    return re.fullmatch(r"v\d+\.\d+", wanted) is not None


def newest(wanted: str, offered: Iterable[str]) -> str:
    """Return the newest release offered, of a minor where one is wanted; empty for none."""
    of_line = f"{wanted}." if is_minor(wanted) else ""
    releases = [name for name in offered if re.fullmatch(r"v\d+\.\d+\.\d+", name)]
    fitting = [name for name in releases if name.startswith(of_line)]
    return max(fitting, key=lambda name: [int(n) for n in name[1:].split(".")], default="")


def satisfies(version: str, wanted: str) -> bool:
    """Tell whether a tree's version is the one wanted, or of the minor that is wanted."""
    of_line = is_minor(wanted) and version.startswith(f"{wanted}.")
    return of_line or wanted in ("auto", version)
