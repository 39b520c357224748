"""Memory that a build and a cluster need, compared with that of the machine before any work."""

from __future__ import annotations

from tasks.build import limits, prebuilt
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import memory

CLUSTER_GIB = 0.7
"""GiB of a cluster with node and DNS, without other pods (measured with 1.20.2: 0.5)."""


def require(settings: Settings) -> str:
    """Return a warning if a build next to the running cluster does not fit; else empty text.

    Raises Failure if the machine, or a cgroup that this process is in, is too small even for one of
    both.
    """
    build = 0.0 if prebuilt.is_used(settings) else limits.LEAST_GIB
    total = memory.total()
    text = (
        f"the machine, or the cgroup of this process, has {total:.1f} GiB of memory with swap; a"
        f" cluster needs about {CLUSTER_GIB:g} GiB" + (f", a build {build:g} GiB" if build else "")
    )
    if total < max(build, CLUSTER_GIB):
        raise Failure(
            text,
            "add memory or swap"
            + (", or use binaries from another machine: doit up -o FOLDER" if build else ""),
        )
    fits = total >= build + CLUSTER_GIB or not build
    return "" if fits else f"{text}: a build next to the running cluster can fail"
