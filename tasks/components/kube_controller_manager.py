"""kube-controller-manager, with the flags of start_controller_manager."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tasks.components import command_line, serving, shared_flags
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.settings import cert_files
from tasks.settings.load import Settings
from tasks.settings.paths import absolute, user_files

NAME = "kube-controller-manager"
AFTER = ("kube-apiserver",)


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags, in upstream's order; no --master, the server is in the kubeconfig."""
    settings = context.settings
    crt, key = _signer(settings)
    kubeconfig = settings.paths.kubeconfig("controller")
    return {
        **shared_flags.logging_flags(settings),
        "service-account-private-key-file": cert_files.service_account_key(settings),
        "root-ca-file": settings.paths.certs / "server-ca.crt",
        "cluster-signing-cert-file": crt,
        "cluster-signing-key-file": key,
        "enable-hostpath-provisioner": settings.controller_manager.enable_hostpath_provisioner,
        "pvclaimbinder-sync-period": settings.controller_manager.claim_binder_sync_period,
        **shared_flags.feature_gates_flag(context),
        **shared_flags.emulated_version_flags(settings),
        **_node_ranges(settings),
        **_cloud(context),
        "kubeconfig": kubeconfig,
        "use-service-account-credentials": True,
        "controllers": settings.controller_manager.controllers,
        **serving.flags(NAME, context, _port(context), kubeconfig),
        "cert-dir": settings.paths.config,  # the default is /var/run/kubernetes
        **shared_flags.leader_election_flags(settings),
        **({"node-monitor-grace-period": "24h"} if settings.debug.pause_tolerant else {}),
    }


def build(context: Context) -> Component:
    """Return the component."""
    settings = context.settings
    argv = command_line.argv(NAME, context, desired_flags(context))
    inputs = (
        *cert_files.kubeconfig_files(settings, "controller"),
        *_signer(settings),
        cert_files.service_account_key(settings),
        *user_files(settings.start.cloud_config),
    )
    component = serving.controller(NAME, context, argv, _port(context), inputs)
    return replace(component, folders=(settings.paths.config,))


def _signer(settings: Settings) -> tuple[Path, Path]:
    """Return certificate and key of the CA that signs certificate requests: the client CA.

    kube-apiserver trusts the client CA. Until 1.15, upstream's script used the server CA, and no
    component accepted the certificates that it signed.
    """
    crt, key = cert_files.pair(settings, "client-ca")
    manager = settings.controller_manager
    return (
        Path(absolute(manager.cluster_signing_cert_file) or crt),
        Path(absolute(manager.cluster_signing_key_file) or key),
    )


def _cloud(context: Context) -> dict[str, command_line.Value]:
    settings = context.settings
    if not settings.start.external_cloud_provider:
        return shared_flags.cloud_flags(settings)
    provider = settings.start.cloud_provider if context.facts.cloud_volumes == "provider" else ""
    return {
        **shared_flags.cloud_flags(settings),
        "external-cloud-volume-plugin": (
            settings.controller_manager.external_cloud_volume_plugin or provider
        ),
        "cloud-config": absolute(settings.start.cloud_config),
    }


def _port(context: Context) -> int:
    settings = context.settings.controller_manager
    return serving.port(NAME, context, settings.secure_port, settings.port)


def _node_ranges(settings: Settings) -> dict[str, command_line.Value]:
    """Return the flags that give every node a range of pod addresses; kubenet waits for it."""
    if settings.node.net_plugin != "kubenet":
        return {}
    return {
        "allocate-node-cidrs": True,
        "cluster-cidr": settings.controller_manager.cluster_cidr,
    }


SPEC = Spec(
    name=NAME,
    program=Program("module", NAME),
    build=build,
    flags=desired_flags,
    after=AFTER,
    host_queries=("connections",),
    debug_offset=7,
    certs=(
        "server-ca",
        "client-ca",
        "request-header-ca",
        "client-controller",
        "kubeconfig-controller",
        "service-account",
    ),
)
