"""Entry point of doit: its configuration, and the tasks in the order of the pipeline."""

import signal
import sys
from collections.abc import Iterator
from typing import Any

from tasks import naming, report, settings, verbosity
from tasks.failure import Failure

try:
    paths = settings.current().paths
    verbosity.choose(settings.current().logs.verbose)
except Failure as failure:
    sys.exit(f"error: {failure}")

from tasks import addons, bench, breaks, build, certs, check, checkout, debug, downloads
from tasks import explain, generated, ide, images, prune, reference, sources, start, status
from tasks import toolchain, versions
from tasks.bundle import tasks as bundle
from tasks.host import tasks as host

PIPELINE = (
    start.task_up, start.task_down, status.task_status,
    debug.task_debug, debug.task_undebug, debug.task_resume,
    breaks.task_break, ide.task_ide,
    check.task_check, downloads.task_downloads, bundle.task_unbundle, checkout.task_checkout,
    toolchain.task_toolchain, generated.task_generated, sources.task_sources, build.task_build,
    certs.task_certs, start.task_start, start.task_stop, addons.task_manifests,
    addons.task_addons, images.task_load, images.task_image,
    prune.task_prune, bundle.task_bundle, bench.task_bench,
    host.task_mirror, host.task_packages, host.task_firewall,
    explain.task_explain, versions.task_versions, reference.task_config,
)  # fmt: skip

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda received, _: sys.exit(128 + received))

naming.install(PIPELINE)
try:
    paths.instance.mkdir(parents=True, exist_ok=True)
except OSError as error:
    sys.exit(f"error: cannot make {paths.instance}: {error.strerror}\n  fix: set STEPKUBE_HOME")
DOIT_CONFIG = {
    "minversion": "0.37.0",
    "default_tasks": ["up"],
    "backend": "sqlite3",
    "dep_file": str(paths.instance / "doit.sqlite"),
    "reporter": report.Reporter,
    "verbosity": 2,
    "sort": "definition",
    "action_string_formatting": "new",
    "forget_disable_default": True,
}


def task_pipeline() -> Iterator[dict[str, Any]]:
    """Yield all tasks in this order: doit would sort creators by their line in their own file."""
    try:
        yield from naming.tasks(PIPELINE)
    except Failure as failure:
        sys.exit(f"error: {failure}")
