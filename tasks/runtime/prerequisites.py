"""What this machine lacks to run a node: programs, root, control groups, a container runtime."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping

from tasks.certs import kubeconfig
from tasks.components import containerd
from tasks.components.registry import COMPONENTS
from tasks.components.spec import StartCheck
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import container, sandbox
from tasks.settings.load import Settings
from tasks.system import ports
from tasks.system.ports import Health

RUNTIME = ("containerd", "runc")
SANDBOX = ("ip", "unshare", "nsenter")
PACKAGES = {
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}


def node_components(settings: Settings) -> list[str]:
    """Return the node's components that are to run: none where they cannot."""
    start = settings.start
    kubelet = start.kubelet and not missing(settings)
    proxy = start.proxy and kubelet == start.kubelet and not proxy_missing(settings)
    parts = {"kubelet": kubelet, "kube-proxy": proxy}
    return [
        spec.name for spec in COMPONENTS.values() if parts.get(spec.part) and spec.enabled(settings)
    ]


def missing(settings: Settings) -> list[str]:
    """Return what this machine lacks to run a kubelet."""
    return _missing(settings, RUNTIME if containerd.runs(settings) else ())


def proxy_missing(settings: Settings) -> list[str]:
    """Return what this machine lacks to run kube-proxy in its mode."""
    return _missing(settings, ("nft" if settings.proxy.mode == "nftables" else "iptables",))


def describe_left_out(settings: Settings) -> str:
    """Say what of the node does not run, why, and how to get it: a line per component."""
    start, lines = settings.start, []
    if not start.kubelet:
        lines.append(
            f"No kubelet was started because of START_MODE={','.join(start.mode)};"
            " START_MODE=kubeletonly doit up adds one."
        )
    lacks = missing(settings) if start.kubelet else []
    if lacks:
        what, also = (
            ("kubelet and kube-proxy were", "iptables ") if start.proxy else ("the kubelet was", "")
        )
        return (
            f"{what} left out, for want of {' and '.join(lacks)}; to get it running: apt-get"
            f" install -y containerd runc {also}iproute2, then doit up as root"
        )
    lacks = proxy_missing(settings) if start.proxy else []
    if lacks:
        needed = " ".join(dict.fromkeys(PACKAGES[name] for name in lacks if name != "root"))
        how = f"apt-get install -y {needed}, then doit up" if needed else "doit up"
        lines.append(
            f"kube-proxy was left out, for want of {' and '.join(lacks)}; to get it: {how}"
            f"{' as root' if 'root' in lacks else ''}"
        )
    return "\n".join(lines)


def require_runtime(settings: Settings) -> None:
    """Raise Failure when the kubelet could not reach its container runtime."""
    if settings.node.sandbox and not containerd.runs(settings):
        source = settings.source("node.container_runtime_endpoint")
        raise Failure(
            f"{source}: a kubelet in the sandbox cannot work with a runtime of the host",
            "set node.sandbox: false (STEPKUBE_NODE_SANDBOX=false), or unset it for a private one",
        )
    container.require_runtime(settings)


def require_control_plane(settings: Settings) -> None:
    """Raise Failure when the control plane that a lone kubelet joins does not answer."""
    if settings.start.control_plane:
        return
    server = kubeconfig.server(settings, "kubelet")
    if not ports.healthy(Health(f"{server}/readyz", (200, 401, 403)), timeout=5.0):
        raise Failure(
            f"START_MODE=kubeletonly: no control plane is ready at {server}",
            "bring one up first (START_MODE=nokubelet doit up), or name another by API_HOST and"
            " API_SECURE_PORT",
        )


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


def _missing(settings: Settings, programs: tuple[str, ...]) -> list[str]:
    needed = programs + (SANDBOX if settings.node.sandbox else ())
    lacks = [name for name in needed if shutil.which(name) is None]
    return [*(["root"] if os.geteuid() else []), *lacks]


START_CHECKS: Mapping[StartCheck, Callable[[Settings], None]] = {
    "cgroups": require_cgroups,
    "container-runtime": require_runtime,
    "api-server": require_control_plane,
}
"""What a component's Spec can ask to be checked before it starts."""
