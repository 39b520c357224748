"""Entry point of doit: its configuration, and the tasks in the order of the pipeline."""

from collections.abc import Iterator
from typing import Any

from tasks.addons import images, tasks as addons
from tasks.check import mirrors, tasks as check
from tasks.explain import config, tasks as explain, versions
from tasks.editors import tasks as editors
from tasks.checkout import tasks as checkout
from tasks.cluster import status, tasks as cluster
from tasks.debug import bench, breakpoints, tasks as debug
from tasks.build import generated, prune, sources, tasks as build
from tasks.certs import tasks as certs
from tasks.toolchain import tasks as toolchain
from tasks.cli import entry
from tasks.bundle import tasks as bundle
from tasks.host import tasks as host

PIPELINE = (
    cluster.task_up,
    cluster.task_down,
    status.task_status,
    debug.task_debug,
    debug.task_undebug,
    debug.task_resume,
    breakpoints.task_break,
    editors.task_ide,
    check.task_check,
    mirrors.task_downloads,
    bundle.task_unbundle,
    checkout.task_checkout,
    toolchain.task_toolchain,
    generated.task_generated,
    sources.task_sources,
    build.task_build,
    certs.task_certs,
    cluster.task_start,
    cluster.task_stop,
    addons.task_manifests,
    addons.task_addons,
    images.task_load,
    images.task_image,
    prune.task_prune,
    bundle.task_bundle,
    bench.task_bench,
    host.task_mirror,
    host.task_packages,
    host.task_firewall,
    explain.task_explain,
    versions.task_versions,
    config.task_config,
)
DOIT_CONFIG = entry.configuration(PIPELINE)


def task_pipeline() -> Iterator[dict[str, Any]]:
    """Yield every task of the pipeline."""
    yield from entry.tasks(PIPELINE)
