"""Prerequisites of a node: programs, root, control groups, a container runtime."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tasks.certs import kubeconfig
from tasks.components import containerd
from tasks.components.registry import COMPONENTS
from tasks.components.spec import StartCheck
from tasks.core.doit_run import once_per_run
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import container, sandbox
from tasks.settings.load import Settings
from tasks.system import ports, procfs
from tasks.system.ports import Health

RUNTIME_PROGRAMS = ("containerd", "runc")
SANDBOX_PROGRAMS = ("ip", "unshare", "nsenter")
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""What root needs for namespaces, mounts and networks, with the bit in CapEff of proc(5)."""
PACKAGES = {
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}


def components_to_run(settings: Settings) -> list[str]:
    """Return the names of the components that should run, in start order."""
    specs = COMPONENTS.values()
    control_plane = [
        spec.name for spec in specs if spec.part == "control-plane" and spec.selected(settings)
    ]
    return control_plane + node_components(settings)


def node_components(settings: Settings) -> list[str]:
    """Return the components of the node to run, without those that this machine cannot run."""
    start = settings.start
    kubelet = start.kubelet and not missing(settings)
    proxy = start.proxy and kubelet == start.kubelet and not proxy_missing(settings)
    parts = {"kubelet": kubelet, "kube-proxy": proxy}
    return [
        spec.name for spec in COMPONENTS.values() if parts.get(spec.part) and spec.enabled(settings)
    ]


def missing(settings: Settings) -> list[str]:
    """Return the prerequisites of a kubelet that this machine does not have.

    They are programs, `root`, and capabilities that root in a container may not have.
    """
    return _missing(settings, RUNTIME_PROGRAMS if containerd.runs(settings) else ())


def proxy_missing(settings: Settings) -> list[str]:
    """Return the prerequisites of kube-proxy in its mode that this machine does not have."""
    return _missing(settings, ("nft" if settings.proxy.mode == "nftables" else "iptables",))


_ROOTS_WORKSPACE = " in its own workspace (STEPKUBE_HOME=/root/stepkube)"
"""Root cannot use a user's workspace; see tasks/cli/owner.py."""


def describe_not_started(settings: Settings) -> str:
    """Return why components of the node were not started, and the fix: a line per component."""
    start, lines = settings.start, []
    if not start.kubelet:
        lines.append(
            f"The kubelet was not started because of START_MODE={','.join(start.mode)}. To add it:"
            " START_MODE=kubeletonly doit up"
        )
    absent = missing(settings) if start.kubelet else []
    if absent:
        components, also = (
            ("kubelet and kube-proxy were", "iptables ") if start.proxy else ("kubelet was", "")
        )
        if capabilities := [name for name in absent if name in CAPABILITIES]:
            return (
                f"{components} not started: {_are_missing(capabilities)}. To add"
                f" {'them' if start.proxy else 'it'}: run doit up in a container that has"
                " these capabilities (docker run --privileged)"
            )
        return (
            f"{components} not started: {_are_missing(absent)}. To add"
            f" {'them' if start.proxy else 'it'}: apt-get install -y containerd runc"
            f" {also}iproute2, then run doit up as root{_ROOTS_WORKSPACE if os.geteuid() else ''}"
        )
    absent = proxy_missing(settings) if start.proxy else []
    if absent:
        programs = [name for name in absent if name in PACKAGES]
        packages = " ".join(dict.fromkeys(PACKAGES[name] for name in programs))
        install = f"apt-get install -y {packages}, then " if packages else ""
        lines.append(
            f"kube-proxy was not started: {_are_missing(absent)}. To add it: {install}run doit up"
            f"{f' as root{_ROOTS_WORKSPACE}' if 'root' in absent else ''}"
        )
    return "\n".join(lines)


def _are_missing(names: list[str]) -> str:
    """Return text such as: root privileges and runc are missing."""
    items = " and ".join("root privileges" if name == "root" else name for name in names)
    is_plural = len(names) > 1 or "root" in names
    return f"{items} {'are' if is_plural else 'is'} missing"


def require_runtime(settings: Settings) -> None:
    """Raise Failure when the kubelet cannot reach its container runtime."""
    if settings.node.sandbox and not containerd.runs(settings):
        source = settings.source("node.container_runtime_endpoint")
        raise Failure(
            f"{source}: a kubelet in the sandbox cannot use a runtime of the host",
            "set node.sandbox: false (STEPKUBE_NODE_SANDBOX=false), or unset this setting to run a"
            " private containerd",
        )
    container.require_runtime(settings)


def require_control_plane(settings: Settings) -> None:
    """Raise Failure when START_MODE=kubeletonly is set and its control plane does not answer."""
    if settings.start.control_plane:
        return
    server = kubeconfig.server(settings, "kubelet")
    if not ports.healthy(Health(f"{server}/readyz", (200, 401, 403)), timeout=5.0):
        raise Failure(
            f"START_MODE=kubeletonly: no control plane is ready at {server}",
            "start one first (run: START_MODE=nokubelet doit up), or set API_HOST and"
            " API_SECURE_PORT to another one",
        )


def require_cgroups(settings: Settings) -> None:
    """Raise Failure when this host has only cgroup v2 and the kubelet supports only cgroup v1."""
    version = load_checkout(settings.paths.lock).version
    known = facts.minor(version)
    unified = sandbox.CGROUPS / "cgroup.controllers"
    if known.cgroup_v2 or not unified.is_file():
        return
    since = facts.first_minor("cgroup_v2", True)
    raise Failure(
        f"this host has only cgroup v2 ({sandbox.CGROUPS}); the kubelet supports it from Kubernetes"
        f" {since}, and this is {version}",
        f"use v{since}.0 or newer; or set START_MODE=nokubelet to start only the control plane; or"
        " boot the machine with systemd.unified_cgroup_hierarchy=0",
    )


def _missing(settings: Settings, programs: tuple[str, ...]) -> list[str]:
    needed = programs + (SANDBOX_PROGRAMS if settings.node.sandbox else ())
    return [*_missing_privileges(), *(name for name in needed if not _is_installed(name))]


@once_per_run
def _is_installed(name: str) -> bool:
    """Return whether a program is installed; one answer per run, also if that changes in it."""
    return shutil.which(name) is not None


def _missing_privileges() -> list[str]:
    if os.geteuid():
        return ["root"]
    effective = int(procfs.status(Path("/proc/self"), "CapEff") or "0", 16)
    return [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]


START_CHECKS: Mapping[StartCheck, Callable[[Settings], None]] = {
    "cgroups": require_cgroups,
    "container-runtime": require_runtime,
    "api-server": require_control_plane,
}
"""The checks that a component's Spec can name in start_checks."""
