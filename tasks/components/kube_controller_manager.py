"""kube-controller-manager, with the flags of start_controller_manager."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tasks.components import flags
from tasks.components.base import Component, Context
from tasks.settings.load import Settings

NAME = "kube-controller-manager"
AFTER = ("kube-apiserver",)
CERTS = (
    "server-ca",
    "client-ca",
    "request-header-ca",
    "client-controller",
    "kubeconfig-controller",
    "service-account",
)


def wanted(context: Context) -> flags.Wanted:
    """Return the flags, in upstream's order; the kubeconfig names the server, so no --master."""
    chosen = context.settings
    crt, key = _signer(chosen)
    kubeconfig = chosen.paths.kubeconfig("controller")
    return {
        **flags.logging(chosen),
        "service-account-private-key-file": flags.service_account_key(chosen),
        "root-ca-file": chosen.paths.certs / "server-ca.crt",
        "cluster-signing-cert-file": crt,
        "cluster-signing-key-file": key,
        "enable-hostpath-provisioner": chosen.controller_manager.enable_hostpath_provisioner,
        "pvclaimbinder-sync-period": chosen.controller_manager.claim_binder_sync_period,
        **flags.feature_gates_flag(context),
        **flags.emulated_version(chosen),
        **_node_ranges(chosen),
        **_cloud(context),
        "kubeconfig": kubeconfig,
        "use-service-account-credentials": True,
        "controllers": chosen.controller_manager.controllers,
        **flags.serving(NAME, context, _port(context), kubeconfig),
        "cert-dir": chosen.paths.config,  # else it writes its own pair to /var/run/kubernetes
        **flags.leader_election(chosen),
        **({"node-monitor-grace-period": "24h"} if chosen.debug.pause_tolerant else {}),
    }


def build(context: Context) -> Component:
    """Describe kube-controller-manager."""
    chosen = context.settings
    argv = flags.argv(NAME, context, wanted(context))
    inputs = (
        *flags.credentials(chosen, "controller"),
        *_signer(chosen),
        flags.service_account_key(chosen),
        *flags.named(chosen.start.cloud_config),
    )
    made = flags.controller(NAME, context, argv, _port(context), inputs)
    return replace(made, folders=(chosen.paths.config,))


def _signer(chosen: Settings) -> tuple[Path, Path]:
    """Return the CA of certificate requests: the one that kube-apiserver believes of clients.

    The script signed with the server CA until 1.15, and nobody accepted what it signed.
    """
    crt, key = flags.pair(chosen, "client-ca")
    own = chosen.controller_manager
    return (
        Path(flags.path(own.cluster_signing_cert_file) or crt),
        Path(flags.path(own.cluster_signing_key_file) or key),
    )


def _cloud(context: Context) -> dict[str, flags.Value]:
    chosen = context.settings
    if not chosen.start.external_cloud_provider:
        return flags.cloud(chosen)
    provider = chosen.start.cloud_provider if context.facts.cloud_volumes == "provider" else ""
    return {
        **flags.cloud(chosen),
        "external-cloud-volume-plugin": (
            chosen.controller_manager.external_cloud_volume_plugin or provider
        ),
        "cloud-config": flags.path(chosen.start.cloud_config),
    }


def _port(context: Context) -> int:
    chosen = context.settings.controller_manager
    return flags.own_port(NAME, context, chosen.secure_port, chosen.port)


def _node_ranges(chosen: Settings) -> dict[str, flags.Value]:
    """Give every node a range of pod addresses, which kubenet waits for."""
    if chosen.node.net_plugin != "kubenet":
        return {}
    return {
        "allocate-node-cidrs": True,
        "cluster-cidr": chosen.controller_manager.cluster_cidr,
    }
