"""Summary at the end of `doit up`: kubeconfig, logs, debug commands."""

from __future__ import annotations

from tasks.certs import kubeconfig
from tasks.components import registry
from tasks.kubernetes import facts
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import prerequisites, user_environment
from tasks.settings.load import Settings


def unchanged(settings: Settings, _: list[str]) -> list[str]:
    """Return the one line of a run that changed nothing."""
    return [f"{_headline(settings)} (instance {settings.name}), nothing to do; see: doit status"]


def _headline(settings: Settings) -> str:
    version = load_checkout(settings.paths.lock).version
    if settings.start.control_plane:
        return f"Kubernetes {version} is running"
    server = kubeconfig.server(settings, "kubelet")
    return f"The kubelet {version} is running, with the control plane at {server}"


def lines(settings: Settings, names: list[str]) -> list[str]:
    """Return the lines of the summary; `names` are the components that run."""
    paths = settings.paths
    version = load_checkout(paths.lock).version
    ready = facts.minor(version).health["kube-apiserver"].path
    kubelet_only = not settings.start.control_plane
    example = "kubelet" if kubelet_only else "kube-apiserver"
    delve_port = registry.debug_port(settings, example)
    summary = ["", f"{_headline(settings)} (instance {settings.name}).", "", "Logs:"]
    summary += [f"  {paths.log(name)}" for name in names]
    summary += [
        "",
        "To use the cluster:",
        *(f"  {line}" for line in user_environment.shell_lines(settings, "sh")),
        f"  kubectl get --raw {ready}",
        "",
        "To debug a component, and to run it normally again:",
        f"  doit debug:{example:<20}# Delve listens on 127.0.0.1:{delve_port}",
        f"  doit undebug:{example}",
    ]
    not_started = prerequisites.describe_not_started(settings)
    return [*summary, *(["", not_started] if not_started else [])]
