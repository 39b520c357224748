"""Versions of Go, etcd and Delve that a checkout needs, from its files and from tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from tasks.core.errors import Failure
from tasks.gomod.release import _NUMBER, Release, _numbers, dotted, release

Range = tuple[tuple[int, int], tuple[int, int]]
"""Oldest and newest minor (major, minor) of Go."""


DELVE = (
    ("1.3.0", (1, 10), (1, 13)),
    ("1.3.2", (1, 11), (1, 13)),
    ("1.4.0", (1, 11), (1, 14)),
    ("1.4.1", (1, 12), (1, 14)),
    ("1.5.0", (1, 12), (1, 15)),
    ("1.5.1", (1, 13), (1, 15)),
    ("1.6.0", (1, 13), (1, 16)),
    ("1.6.1", (1, 14), (1, 16)),
    ("1.7.0", (1, 15), (1, 17)),
    ("1.8.0", (1, 16), (1, 18)),
    ("1.9.0", (1, 16), (1, 19)),
    ("1.9.1", (1, 17), (1, 19)),
    ("1.20.0", (1, 18), (1, 20)),
    ("1.21.0", (1, 18), (1, 21)),
    ("1.21.1", (1, 19), (1, 21)),
    ("1.22.0", (1, 19), (1, 22)),
    ("1.23.0", (1, 21), (1, 23)),
    ("1.24.0", (1, 21), (1, 24)),
    ("1.25.0", (1, 21), (1, 24)),
    ("1.25.1", (1, 22), (1, 25)),
    ("1.26.0", (1, 24), (1, 26)),
    ("1.27.0", (1, 25), (1, 27)),
)
"""First Delve release, and the oldest and newest Go that it supports (pkg/goversion/compat.go of
every tag)."""

OLDEST_DELVE = (1, 22, 1)
"""The first Delve that has every function of a debug swap."""

DWARF5 = (1, 25)
"""Binaries of this Go and newer have DWARF 5; Delve reads it only if built with such a Go."""


def go_name(version: Release) -> str:
    """Return the name of a Go release: before 1.21 the first release of a minor has no .0."""
    return dotted(version[:2] if version[2] == 0 and version < (1, 21, 0) else version)


def required_go(tree: Path) -> str:
    """Return the Go release that builds a Kubernetes tree, from the first of GO_FILES that has one.

    The order matters: the last files name only the oldest possible Go. Raises Failure if no file
    names a Go release.
    """
    for name, reader in GO_FILES:
        version = reader(_text(tree / name))
        if version is not None:
            return go_name(version)
    names = ", ".join(name for name, _ in GO_FILES)
    raise Failure(
        f"{tree}: no file names the Go that it needs (tried {names})",
        "use a complete Kubernetes tree",
    )


def required_etcd(tree: Path) -> str:
    """Return the etcd release that a tree's hack/lib/etcd.sh names. Raises Failure without one."""
    script = _text(tree / "hack/lib/etcd.sh")
    version = _search(rf"^ETCD_VERSION=\$\{{ETCD_VERSION:-{_NUMBER}", script)
    if version is None:
        raise Failure(
            f"{tree}/hack/lib/etcd.sh does not name an etcd version",
            "set etcd.version, for example to 3.5.30",
        )
    return dotted(version)


def delve_range(version: Release) -> Range:
    """Return the oldest and newest minor of Go that a Delve release supports.

    For a Delve newer than the table it is an estimate from the last years: the Go of the same
    minor, and the two minors before.
    """
    known = [row for row in DELVE if (release(row[0]) or version) <= version]
    if not known or version >= (1, 28, 0):
        return ((1, version[1] - 2), (1, version[1]))
    return known[-1][1:]


def _go_version(text: str) -> Release | None:
    return release(text)


def _dependencies(text: str) -> Release | None:
    return _search(rf'name: "?golang: upstream version"?\s+version: "?{_NUMBER}', text)


def _cross_version(text: str) -> Release | None:
    return _search(rf"-go{_NUMBER}", text) or _search(rf"^v{_NUMBER}-\d", text)


def _minimum(text: str) -> Release | None:
    return _search(rf"minimum_go_version=go{_NUMBER}", text)


def _module(text: str) -> Release | None:
    return _search(rf"^toolchain go{_NUMBER}", text) or _search(rf"^go {_NUMBER}", text)


def _godeps(text: str) -> Release | None:
    try:
        return release(json.loads(text)["GoVersion"])
    except (ValueError, KeyError, TypeError):
        return None


GO_FILES: tuple[tuple[str, Callable[[str], Release | None]], ...] = (
    (".go-version", _go_version),
    ("build/dependencies.yaml", _dependencies),
    ("build/build-image/cross/VERSION", _cross_version),
    ("hack/lib/golang.sh", _minimum),
    ("go.mod", _module),
    ("Godeps/Godeps.json", _godeps),
)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


def _search(pattern: str, text: str) -> Release | None:
    match = re.search(pattern, text, re.MULTILINE)
    return _numbers(match) if match else None
