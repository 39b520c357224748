"""What the machine has: disk, memory, cores; refused early, in words, when it is too little."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from tasks.core.errors import Failure

GIB = 1 << 30
COMPILER = 1.5
"""GiB one compile or link job of a debug build takes at its peak (kube-apiserver, measured)."""


def require_disk(folder: Path, gib: float, what: str) -> None:
    """Raise Failure when the disk that holds `folder` has less than `gib` GiB free."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / GIB
    if free < gib:
        raise Failure(
            f"{what} needs about {gib:g} GiB in {folder}, but only {free:.1f} GiB are free",
            "free some space, or point STEPKUBE_HOME at a larger disk",
        )


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> float:
    """Return the memory in GiB that can be had without swapping, within the cgroup's limit."""
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


def jobs(wanted: int = 0) -> int:
    """Return how many compilations run side by side: what was asked for, or what memory allows."""
    if wanted:
        return wanted
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, int(available_memory() / COMPILER)))


def require_memory(gib: float, what: str) -> None:
    """Raise Failure when less than `gib` GiB of memory can be had."""
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
    """Return this machine's architecture as Go calls it."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())
