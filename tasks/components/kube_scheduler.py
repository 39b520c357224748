"""kube-scheduler, by flags alone: its configuration file differs from minor to minor."""

from __future__ import annotations

from tasks.components import flags
from tasks.components.base import Component, Context

NAME = "kube-scheduler"
AFTER = ("kube-apiserver",)
CERTS = ("server-ca", "client-ca", "request-header-ca", "client-scheduler", "kubeconfig-scheduler")


def wanted(context: Context) -> flags.Wanted:
    """Return the flags; the kubeconfig names the server, so no --master."""
    chosen = context.settings
    kubeconfig = chosen.paths.kubeconfig("scheduler")
    return {
        **flags.logging(chosen),
        "kubeconfig": kubeconfig,
        **flags.feature_gates_flag(context),
        **flags.emulated_version(chosen),
        **flags.serving(NAME, context, _port(context), kubeconfig),
        **flags.leader_election(chosen),
    }


def build(context: Context) -> Component:
    """Describe kube-scheduler."""
    argv = flags.argv(NAME, context, wanted(context))
    inputs = flags.credentials(context.settings, "scheduler")
    return flags.controller(NAME, context, argv, _port(context), inputs)


def _port(context: Context) -> int:
    chosen = context.settings.scheduler
    return flags.own_port(NAME, context, chosen.secure_port, chosen.port)
