"""kubectl: which one is used, calls to it, and the wait for a Ready node."""

from __future__ import annotations

import time
from pathlib import Path

from tasks.build.tasks import load_binary
from tasks.components import kubelet
from tasks.core import console
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system.process import tail
from tasks.system.run import Result, program, run

NODE_READY = 120.0
"""Seconds a node may take to turn Ready; a 1.20 kubelet takes 12."""


def client(settings: Settings) -> str | Path:
    """Return the kubectl to use: the user's, or the one that was built."""
    named = settings.start.kubectl
    if named:
        return program(str(Path(named).expanduser()))
    return load_binary(settings, "kubectl").path


def kubectl(
    settings: Settings, *words: str, stdin: str | None = None, check: bool = True
) -> Result:
    """Run kubectl as the cluster's administrator."""
    kubeconfig = f"--kubeconfig={settings.paths.kubeconfig('admin')}"
    return run(client(settings), kubeconfig, *words, stdin=stdin, check=check, timeout=60)


def wait_node_ready(settings: Settings) -> None:
    """Ask until the node is Ready; `kubectl wait` came only with 1.11."""
    name = settings.kubelet.hostname_override
    condition = '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    end = time.monotonic() + NODE_READY
    while True:
        answer = kubectl(settings, "get", "node", name, condition, check=False)
        if answer.stdout.strip() == "True" or time.monotonic() > end:
            break
        time.sleep(1.0)
    if answer.stdout.strip() != "True":
        log, last = settings.paths.log(kubelet.NAME), answer.tail(1)
        raise Failure(
            f"node {name} did not turn Ready within {NODE_READY:g} s: {last}\n{tail(log)}",
            f"read {log}",
        )
    console.say(f"  node {name} is Ready")
