"""Memory and cores that this process may use: those of the machine, within the limits of cgroups.

A limit of any cgroup above counts too. See cgroup-v2.rst and cgroup-v1/memory.rst of the kernel.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GIB = 1 << 30
CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
_UNLIMITED = 1 << 60
"""The first version of cgroups has a large number for no limit."""


def available() -> float:
    """Return the GiB that can be used without swapping: of the machine, within each cgroup."""
    info = _meminfo()
    free = [info.get("MemAvailable", _UNLIMITED)]
    for folder in _cgroups("memory"):
        limit = _limit(folder)
        if limit is not None:
            free.append(max(0, limit - _used(folder)))
    return min(free) / GIB


def total() -> float:
    """Return the GiB of memory and swap of the machine, or the smallest limit of a cgroup."""
    info = _meminfo()
    machine = info.get("MemTotal", _UNLIMITED) + info.get("SwapTotal", 0)
    limits = [limit for folder in _cgroups("memory") if (limit := _limit(folder)) is not None]
    return min([machine, *limits]) / GIB


def cores() -> int:
    """Return the number of processors that this process can use, at least 1."""
    quotas = [quota for folder in _cgroups("cpu") if (quota := _quota(folder)) is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *(math.ceil(quota) for quota in quotas)]))


def _meminfo() -> dict[str, int]:
    """Return the bytes in /proc/meminfo by name."""
    lines = (PROC / "meminfo").read_text().splitlines()
    return {
        name: int(value.split()[0]) * 1024
        for name, _, value in (row.partition(":") for row in lines)
    }


def _cgroups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's cgroup and of those above, for both versions of cgroups.

    In a container the path of the cgroup can be that of the host: then only the folders that exist
    are yielded, at least the top one.
    """
    with suppress(OSError):
        for line in (PROC / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            top = CGROUPS / controller if controllers else CGROUPS
            group = Path(path.lstrip("/"))
            for folder in (group, *group.parents):
                if (top / folder).is_dir():
                    yield top / folder


def _limit(folder: Path) -> int | None:
    """Return the memory limit of a cgroup in bytes, None without one."""
    number = _number(folder / "memory.max")  # version 2, in which "max" is no limit
    if number is None:
        number = _number(folder / "memory.limit_in_bytes")
    return number if number is not None and number < _UNLIMITED else None


def _used(folder: Path) -> int:
    """Return the bytes of a cgroup that the kernel cannot free: all except cached files."""
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    statistics: dict[str, int] = {}
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, value = line.split()
            statistics[name] = int(value)
    prefix = "total_" if "total_inactive_file" in statistics else ""  # with the cgroups below
    cached = sum(statistics.get(f"{prefix}{kind}_file", 0) for kind in ("inactive", "active"))
    return max(0, used - cached)


def _quota(folder: Path) -> float | None:
    """Return the number of processors that a cgroup may use, None without a limit."""
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    quota_time, time = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota_time / time if quota_time and time and quota_time > 0 else None


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None
