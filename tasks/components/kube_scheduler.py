"""kube-scheduler: only flags, because its configuration file differs between minors."""

from __future__ import annotations

from tasks.components import command_line, serving, shared_flags
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.settings import cert_files

NAME = "kube-scheduler"
AFTER = ("kube-apiserver",)


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags; no --master, the server is in the kubeconfig."""
    settings = context.settings
    kubeconfig = settings.paths.kubeconfig("scheduler")
    return {
        **shared_flags.logging_flags(settings),
        "kubeconfig": kubeconfig,
        **shared_flags.feature_gates_flag(context),
        **shared_flags.emulated_version_flags(settings),
        **serving.flags(NAME, context, _port(context), kubeconfig),
        **shared_flags.leader_election_flags(settings),
    }


def build(context: Context) -> Component:
    """Return the component."""
    argv = command_line.argv(NAME, context, desired_flags(context))
    inputs = cert_files.kubeconfig_files(context.settings, "scheduler")
    return serving.controller(NAME, context, argv, _port(context), inputs)


def _port(context: Context) -> int:
    settings = context.settings.scheduler
    return serving.port(NAME, context, settings.secure_port, settings.port)


SPEC = Spec(
    name=NAME,
    program=Program("module", NAME),
    build=build,
    flags=desired_flags,
    after=AFTER,
    host_queries=("connections",),
    debug_offset=5,
    certs=(
        "server-ca",
        "client-ca",
        "request-header-ca",
        "client-scheduler",
        "kubeconfig-scheduler",
    ),
)
