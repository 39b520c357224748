"""The node: whether kubelet and kube-proxy can run here, and what they need around them."""

from __future__ import annotations

import os
import shutil
import time

from tasks import facts, report, sandbox
from tasks.build import load_binary
from tasks.failure import Failure
from tasks.process import tail
from tasks.run import Result, run
from tasks.settings import Settings
from tasks.tree import load_checkout

READY = 120.0
"""Seconds a node may take to turn Ready; a 1.20 kubelet takes 12."""
NODE = ("containerd", "kubelet", "kube-proxy")
RUNTIME = ("containerd", "runc")
SANDBOX = ("ip", "unshare", "nsenter")
PACKAGES = {"iptables": "iptables", "nft": "nftables"}


def components(settings: Settings) -> list[str]:
    """Return the node's components that are to run: none where they cannot."""
    mode = settings.start.mode
    if "nokubelet" in mode or missing(settings):
        return []
    without_proxy = mode == "kubeletonly" or "nokubeproxy" in mode or proxy_missing(settings)
    return [name for name in NODE if not (name == "kube-proxy" and without_proxy)]


def missing(settings: Settings) -> list[str]:
    """Return what this machine lacks to run a node."""
    needed = RUNTIME + (SANDBOX if settings.node.sandbox else ())
    lacks = [name for name in needed if shutil.which(name) is None]
    return [*(["root"] if os.geteuid() else []), *lacks]


def proxy_missing(settings: Settings) -> list[str]:
    """Return what this machine lacks to run kube-proxy in its mode."""
    program = "nft" if settings.proxy.mode == "nftables" else "iptables"
    return [] if shutil.which(program) else [program]


def left_out(settings: Settings) -> str:
    """Say in one line what of the node does not run, why, and how to get it."""
    mode = settings.start.mode
    if "nokubelet" in mode:
        return f"No kubelet was started because of START_MODE={mode}."
    lacks = missing(settings)
    if lacks:
        return (
            f"kubelet and kube-proxy were left out, for want of {' and '.join(lacks)}; to get"
            " them: apt-get install -y containerd runc iptables iproute2, then doit up as root"
        )
    lacks = proxy_missing(settings)
    if lacks and mode == "all":
        return (
            f"kube-proxy was left out, for want of {lacks[0]}; to get it: apt-get install -y"
            f" {PACKAGES[lacks[0]]}, then doit up"
        )
    return ""


def require_cgroups(settings: Settings) -> None:
    """Raise Failure when this host's control groups are of a kind the kubelet does not know."""
    version = load_checkout(settings.paths.lock).version
    about = facts.minor(version)
    unified = sandbox.CGROUPS / "cgroup.controllers"
    if about.cgroup_v2 or not unified.is_file():
        return
    since = facts.first("cgroup_v2", True)
    raise Failure(
        f"this host has cgroup v2 only ({sandbox.CGROUPS}), which a kubelet knows from Kubernetes"
        f" {since} on, and this is {version}",
        f"choose v{since}.0 or newer; or START_MODE=nokubelet for the control plane alone; or start"
        " the machine with systemd.unified_cgroup_hierarchy=0",
    )


def after_start(settings: Settings, names: list[str]) -> None:
    """Let kube-apiserver use the kubelet's API, and wait for the node to turn Ready."""
    if "kube-apiserver" in names:
        _bind_kubelet_admin(settings)
    if "kubelet" in names:
        _wait_ready(settings)


def after_stop(settings: Settings) -> None:
    """End the sandbox and remove the control groups it left."""
    if sandbox.end(settings):
        sandbox.remove_cgroups(settings)


def kubectl(
    settings: Settings, *words: str, stdin: str | None = None, check: bool = True
) -> Result:
    """Run kubectl as the cluster's administrator."""
    kubeconfig = f"--kubeconfig={settings.paths.kubeconfig('admin')}"
    program_ = load_binary(settings, "kubectl").path
    return run(program_, kubeconfig, *words, stdin=stdin, check=check, timeout=60)


def _bind_kubelet_admin(settings: Settings) -> None:
    """Bind kube-apiserver's client certificate, for logs, exec and port-forward."""
    name = "kube-apiserver-kubelet-admin"
    if kubectl(settings, "get", "clusterrolebinding", name, check=False).code:
        role, user = "--clusterrole=system:kubelet-api-admin", "--user=kube-apiserver"
        made = kubectl(settings, "create", "clusterrolebinding", name, role, user, check=False)
        if made.code and "NotFound" not in made.stderr:
            report.warn(f"kubectl logs and exec may not work: {made.tail(1)}")


def _wait_ready(settings: Settings) -> None:
    """Ask until the node is Ready; `kubectl wait` came only with 1.11."""
    name = settings.kubelet.hostname_override
    condition = '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    end = time.monotonic() + READY
    while True:
        answer = kubectl(settings, "get", "node", name, condition, check=False)
        if answer.stdout.strip() == "True" or time.monotonic() > end:
            break
        time.sleep(1.0)
    if answer.stdout.strip() != "True":
        log = settings.paths.log("kubelet")
        raise Failure(
            f"node {name} did not turn Ready within {READY:g} s: {answer.tail(1)}\n{tail(log)}",
            f"read {log}",
        )
    report.say(f"  node {name} is Ready")
