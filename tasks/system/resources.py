"""Disk, memory and cores of the machine, and early errors when they are too small."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tasks.core.errors import Failure

GIB = 1 << 30
FULL = 1 << 20
"""Free bytes below which a disk counts as full: a component cannot write its data any more."""
GIB_PER_JOB = 1.5
"""Peak memory in GiB of one compile or link job of a debug build (kube-apiserver, measured)."""


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


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> float:
    """Return the memory in GiB that is available without swapping, within the cgroup's limit."""
    available = float("inf")
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024 / GIB
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            available = min(available, int(Path(name).read_text()) / GIB)
        except (OSError, ValueError):
            continue
    return available


def jobs(requested: int = 0) -> int:
    """Return the number of parallel compile jobs: as requested, or as memory and cores allow."""
    if requested:
        return requested
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, int(available_memory() / GIB_PER_JOB)))


def require_memory(gib: float, what: str) -> None:
    """Raise Failure when less than `gib` GiB of memory is available."""
    available = available_memory()
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
