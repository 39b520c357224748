"""Entry point of doit: PIPELINE lists all tasks in the order in which `doit list` prints them."""

from tasks.cli import interrupts

interrupts.install()  # before the other imports, which take most of the first second

from tasks.cli import imports

imports.install()  # it makes the imports fast that follow

from collections.abc import Iterator
from typing import Any

from tasks.addons import images, tasks as addons
from tasks.bench import tasks as bench
from tasks.build import generated, prune, sources, tasks as build
from tasks.bundle import tasks as bundle
from tasks.certs import tasks as certs
from tasks.check import mirrors, tasks as check
from tasks.checkout import tasks as checkout
from tasks.cli import completion, entry
from tasks.cluster import instances, restart, shell, status, tasks as cluster
from tasks.debug import breakpoints, tasks as debug
from tasks.editors import tasks as editors
from tasks.explain import config, tasks as explain, versions
from tasks.host import tasks as host
from tasks.logs import tasks as logs
from tasks.toolchain import tasks as toolchain
from tasks.watch import tasks as watch

PIPELINE = {
    "everyday": (cluster.task_up, cluster.task_down, status.task_status),
    "debug": (debug.task_debug, debug.task_undebug, debug.task_resume, breakpoints.task_break),
    "watch": (watch.task_watch,),
    "editors": (editors.task_ide,),
    "check": (check.task_check, mirrors.task_downloads),
    "checkout": (bundle.task_unbundle, checkout.task_checkout),
    "toolchain": (toolchain.task_toolchain,),
    "build": (generated.task_generated, sources.task_sources, build.task_build),
    "certs": (certs.task_certs,),
    "cluster": (
        cluster.task_start,
        restart.task_stop,
        restart.task_restart,
        restart.task_reset,
    ),
    "instances": (instances.task_instances, instances.task_delete),
    "shell": (shell.task_kubectl, shell.task_env, logs.task_logs, completion.task_completion),
    "addons": (addons.task_manifests, addons.task_addons, images.task_load, images.task_image),
    "more": (prune.task_prune, bundle.task_bundle, bench.task_bench),
    "host": (host.task_mirror, host.task_packages, host.task_firewall),
    "explain": (explain.task_explain, versions.task_versions, config.task_config),
}
SETTINGS = entry.settings()
entry.pass_on(SETTINGS, {"kubectl": shell.become_kubectl})
DOIT_CONFIG = entry.configuration(SETTINGS, PIPELINE)


def task_pipeline() -> Iterator[Any]:
    """Yield every task of the pipeline."""
    yield from entry.tasks(SETTINGS, PIPELINE)
