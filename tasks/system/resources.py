"""Disk and memory of the machine, and early errors when they are too small; its architecture."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tasks.core.errors import Failure
from tasks.system import memory

GIB = memory.GIB
FULL = 1 << 20
"""Free bytes below which a disk counts as full: a component cannot write its data any more."""


def require_disk(folder: Path, gib: float, what: str) -> None:
    """Raise Failure when the disk of `folder` has less than `gib` GiB free."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = _free(existing) / GIB
    if free < gib:
        raise Failure(
            f"{what} needs about {gib:g} GiB in {folder}, but only {free:.1f} GiB are free",
            "free some space, or set STEPKUBE_HOME to a folder on a larger disk",
        )


def full_disk(*folders: Path) -> Path | None:
    """Return the first folder whose disk is full, None when all have space."""
    return next((path for path in folders if path.is_dir() and _free(path) < FULL), None)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def require_memory(gib: float, what: str) -> None:
    """Raise Failure when less than `gib` GiB of memory is available."""
    available = memory.available()
    if available < gib:
        raise Failure(
            f"{what} needs about {gib:g} GiB of memory, but only {available:.1f} GiB are available",
            "close other programs, add memory or add swap",
        )


ARCHITECTURES = {
    "aarch64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "i686": "386",
    "x86_64": "amd64",
}


def architecture() -> str:
    """Return this machine's architecture by its Go name (GOARCH)."""
    return ARCHITECTURES.get(os.uname().machine, os.uname().machine)
