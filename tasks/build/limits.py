"""Limits of a build by memory and cores: number of jobs, variables of Go's garbage collector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.build.go_command import go_minor
from tasks.settings.load import Settings
from tasks.system import memory

GO_GIB = 0.3
"""GiB that go itself needs, next to the compilers and linkers that it runs (measured, 1.20)."""
JOB_GIB = 1.5
"""Peak GiB of one compile or link job of a debug build (kube-apiserver, measured)."""
LEAST_GIB = 1.5
"""GiB without which a build runs out of memory (measured with 1.20: the link of the kubelet with
go and the C linker; the largest compilation needs 1.2, whatever GOGC is)."""
GO_WITH_MEMORY_LIMIT = (1, 19)
"""First Go whose compiler and linker read GOMEMLIMIT."""


@dataclass(frozen=True)
class Limits:
    """What a build may use."""

    jobs: int
    """For -p: number of compilers and linkers at the same time."""
    variables: Mapping[str, str]
    """Environment variables of go."""


def current(settings: Settings, go: str) -> Limits:
    """Return the limits for a build with a Go version, for the memory that is available now."""
    return limits(settings.build.jobs, memory.available(), memory.cores(), go)


def limits(requested: int, available: float, cores: int, go: str) -> Limits:
    """Return the limits: the requested number of jobs, or 0 for a number for memory and cores.

    Each job gets the same share of the available GiB. If a share is smaller than JOB_GIB, it is the
    limit at which the garbage collector runs more often: that costs processor time, but a killed
    job costs the build.
    """
    rest = available - GO_GIB
    jobs = requested or max(1, min(cores, int(rest / JOB_GIB)))
    share = rest / jobs
    if share >= JOB_GIB or go_minor(go) < GO_WITH_MEMORY_LIMIT:
        return Limits(jobs, {})
    return Limits(jobs, {"GOMEMLIMIT": f"{max(256, int(share * 1024))}MiB"})
