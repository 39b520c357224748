"""Memory and cores within cgroups of both versions, in folders that look like those of a kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.system import memory
from tasks.system.run import run

GIB = 1 << 30
NO_LIMIT = "9223372036854771712"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with proc/ of a machine with 16 GiB and 8 processors, and no cgroups."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    write(
        tmp_path / "proc/meminfo",
        f"MemTotal: {16 << 20} kB\nMemAvailable: {12 << 20} kB\nSwapTotal: {1 << 20} kB\n"
        "HugePages_Total: 0\n",
    )
    return tmp_path


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n".replace("\n\n", "\n"))


def first_version(machine: Path, path: str, limit: object, used: int = 0, cached: int = 0) -> None:
    folder = machine / "cgroup/memory" / path
    write(folder / "memory.limit_in_bytes", limit)
    write(folder / "memory.usage_in_bytes", used)
    write(folder / "memory.stat", f"inactive_file 0\ntotal_inactive_file {cached}")


def test_without_cgroups_the_machine_decides(machine: Path) -> None:
    assert (memory.available(), memory.total(), memory.cores()) == (12.0, 17.0, 8)


def test_a_limit_of_a_cgroup_counts(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "9:cpu,cpuacct:/a\n4:memory:/a/b\n0::/a")
    first_version(machine, "", NO_LIMIT)
    first_version(machine, "a", 8 * GIB)
    first_version(machine, "a/b", 4 * GIB)
    assert (memory.available(), memory.total()) == (4.0, 4.0)


def test_a_limit_of_a_cgroup_above_counts(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "0::/a/b")
    write(machine / "cgroup/a/memory.max", 2 * GIB)
    write(machine / "cgroup/a/b/memory.max", "max")
    assert (memory.available(), memory.total()) == (2.0, 2.0)


def test_what_other_processes_of_the_cgroup_use_is_not_available(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "4:memory:/a")
    first_version(machine, "a", 4 * GIB, used=3 * GIB, cached=1 * GIB)
    assert memory.available() == 2.0, "cached files can be freed"
    write(machine / "proc/self/cgroup", "0::/c")
    write(machine / "cgroup/c/memory.max", 4 * GIB)
    write(machine / "cgroup/c/memory.current", 3 * GIB)
    write(machine / "cgroup/c/memory.stat", f"anon 1\ninactive_file {GIB}\nactive_file {GIB}")
    assert memory.available() == 3.0
    assert memory.total() == 4.0


def test_the_path_of_the_host_in_a_container_is_not_needed(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "4:memory:/docker/0123\n3:cpu:/docker/0123")
    first_version(machine, "", 3 * GIB)
    write(machine / "cgroup/cpu/cpu.cfs_quota_us", 150000)
    write(machine / "cgroup/cpu/cpu.cfs_period_us", 100000)
    assert (memory.total(), memory.cores()) == (3.0, 2)


@pytest.mark.parametrize(
    ("text", "cores"), [("100000 100000", 1), ("max 100000", 8), ("50000 100000", 1), ("x", 8)]
)
def test_cores_follow_the_quota(machine: Path, text: str, cores: int) -> None:
    write(machine / "proc/self/cgroup", "0::/a")
    write(machine / "cgroup/a/cpu.max", text)
    assert memory.cores() == cores
    write(machine / "proc/self/cgroup", "3:cpu:/a")
    write(machine / "cgroup/cpu/a/cpu.cfs_quota_us", -1)
    write(machine / "cgroup/cpu/a/cpu.cfs_period_us", 100000)
    assert memory.cores() == 8


def test_this_machine_has_memory() -> None:
    gib = int(run("sh", "-c", "grep MemTotal /proc/meminfo | tr -dc 0-9").stdout) / (1 << 20)
    assert 0 < memory.available() <= gib
    assert memory.total() > 0
