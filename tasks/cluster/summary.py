"""What `doit up` says at its end: how to use the cluster, and how to debug next."""

from __future__ import annotations

from tasks.certs import credentials, kubeconfig
from tasks.components import registry, shared_flags
from tasks.kubernetes import facts
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import prerequisites
from tasks.settings.load import Settings


def lines(settings: Settings, names: list[str]) -> list[str]:
    """Return the closing lines: kubeconfig, logs, and how to debug next."""
    paths = settings.paths
    version = load_checkout(paths.lock).version
    ready = facts.minor(version).health["kube-apiserver"].path
    patient = shared_flags.NO_HTTP2_PING_ENV if settings.debug.pause_tolerant else {}
    login = credentials.USER if settings.certs.auth_args else "admin"
    joined = not settings.start.control_plane
    example = "kubelet" if joined else "kube-apiserver"
    delve_port = registry.debug_port(settings, example)
    what = f"Kubernetes {version} is running"
    if joined:
        what = f"The kubelet {version} runs against {kubeconfig.server(settings, 'kubelet')}"
    said = ["", f"{what} (instance {settings.name}).", "", "Logs:"]
    said += [f"  {paths.log(name)}" for name in names]
    said += [
        "",
        "To use the cluster:",
        f"  export KUBECONFIG={paths.kubeconfig(login)}",
        f"  export PATH={paths.instance / 'bin'}:$PATH",
        *(f"  export {key}={value}" for key, value in patient.items()),
        f"  kubectl get --raw {ready}",
        "",
        "To put a component under the debugger, and back:",
        f"  doit debug:{example:<20}# Delve listens on 127.0.0.1:{delve_port}",
        f"  doit undebug:{example}",
    ]
    left_out = prerequisites.describe_not_started(settings)
    return [*said, *(["", left_out] if left_out else [])]
