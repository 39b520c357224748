"""kube-proxy, by its configuration file, whose format no minor changed."""

from __future__ import annotations

from pathlib import Path

from tasks import templates
from tasks.components import flags
from tasks.components.base import Component, Context, Health
from tasks.settings import Settings

NAME = "kube-proxy"
AFTER = ("kube-apiserver", "kubelet")  # before the node exists, it waits half a minute
CERTS = ("server-ca", "client-kube-proxy", "kubeconfig-kube-proxy")


def wanted(context: Context) -> flags.Wanted:
    """Return the flags; with --config, kube-proxy ignores the others."""
    return {**flags.logging(context.settings), "config": _file(context.settings)}


def build(context: Context) -> Component:
    """Describe kube-proxy."""
    chosen = context.settings
    endpoint = context.facts.health[NAME]
    port = chosen.proxy.healthz_port
    return Component(
        name=NAME,
        argv=flags.argv(NAME, context, wanted(context)),
        health=Health(flags.url(endpoint.scheme, "127.0.0.1", port, endpoint.path)),
        after=AFTER,
        env=flags.debug_env(chosen),
        files={_file(chosen): configuration(context)},
        inputs=flags.credentials(chosen, "kube-proxy"),
        folders=(chosen.paths.config,),
        # the relay to the sandbox holds the host's ports
        ports=() if chosen.node.sandbox else (port, chosen.proxy.metrics_port),
    )


def configuration(context: Context) -> str:
    """Render the KubeProxyConfiguration."""
    chosen = context.settings
    return templates.render(
        "kube-proxy.yaml.j2",
        api_version=context.facts.kube_proxy_config,
        kubeconfig=str(chosen.paths.kubeconfig("kube-proxy")),
        hostname=chosen.kubelet.hostname_override,
        proxy=chosen.proxy,
        cluster_cidr=chosen.controller_manager.cluster_cidr,
        feature_gates=flags.feature_gates(context),
    )


def _file(chosen: Settings) -> Path:
    return chosen.paths.config / "kube-proxy.yaml"
