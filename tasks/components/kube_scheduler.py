"""kube-scheduler, by flags alone: its configuration file differs from minor to minor."""

from __future__ import annotations

from tasks.components import flags
from tasks.components.base import Component, Context

NAME = "kube-scheduler"
AFTER = ("kube-apiserver",)
CERTS = ("server-ca", "client-ca", "request-header-ca", "client-scheduler", "kubeconfig-scheduler")


def desired_flags(context: Context) -> flags.Flags:
    """Return the flags; the kubeconfig names the server, so no --master."""
    settings = context.settings
    kubeconfig = settings.paths.kubeconfig("scheduler")
    return {
        **flags.logging_flags(settings),
        "kubeconfig": kubeconfig,
        **flags.feature_gates_flag(context),
        **flags.emulated_version_flags(settings),
        **flags.serving_flags(NAME, context, _port(context), kubeconfig),
        **flags.leader_election_flags(settings),
    }


def build(context: Context) -> Component:
    """Describe kube-scheduler."""
    argv = flags.argv(NAME, context, desired_flags(context))
    inputs = flags.kubeconfig_files(context.settings, "scheduler")
    return flags.controller_component(NAME, context, argv, _port(context), inputs)


def _port(context: Context) -> int:
    settings = context.settings.scheduler
    return flags.serving_port(NAME, context, settings.secure_port, settings.port)
