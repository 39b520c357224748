"""kube-proxy: its configuration file; the format is the same in all minors."""

from __future__ import annotations

from pathlib import Path

from tasks.components import command_line, shared_flags
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.core.errors import Failure
from tasks.settings import addresses, cert_files, templates
from tasks.settings.load import Settings
from tasks.system.ports import Health

NAME = "kube-proxy"
DEFAULT_MODE = "iptables"
"""The mode if none is set, or if this machine does not support ipvs."""
AFTER = ("kube-apiserver", "kubelet")  # it waits 30 s for a missing node


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags; with --config, kube-proxy ignores most other flags."""
    return {**shared_flags.logging_flags(context.settings), "config": _file(context.settings)}


def build(context: Context) -> Component:
    """Return the component; the host query `ipvs` says why IPVS is not available."""
    settings, no_ipvs = context.settings, context.host_answers.get("ipvs", "")
    note = f"mode {DEFAULT_MODE} instead of ipvs: {no_ipvs}"
    endpoint = context.facts.health[NAME]
    port = settings.proxy.healthz_port
    return Component(
        name=NAME,
        argv=command_line.argv(NAME, context, desired_flags(context)),
        health=Health(addresses.url(endpoint.scheme, "127.0.0.1", port, endpoint.path)),
        after=AFTER,
        env=shared_flags.debug_env(settings),
        files={_file(settings): configuration(context, mode(context, ipvs=not no_ipvs))},
        inputs=cert_files.kubeconfig_files(settings, "kube-proxy"),
        folders=(settings.paths.config,),
        # with a sandbox, the forwarder listens on the host's ports
        ports=() if settings.node.sandbox else (port, settings.proxy.metrics_port),
        notes=(note,) if no_ipvs and settings.proxy.mode == "ipvs" else (),
    )


def mode(context: Context, *, ipvs: bool) -> str:
    """Return the mode to use. Raises Failure for a mode that the version does not support."""
    requested, known = context.settings.proxy.mode or DEFAULT_MODE, context.facts
    source, version = context.settings.source("proxy.mode"), context.minor
    if requested not in known.proxy_modes:
        raise Failure(
            f"{source}: kube-proxy of Kubernetes {version} has no mode {requested}",
            f"use one of {', '.join(known.proxy_modes)}, or another version",
        )
    gates, gate = shared_flags.feature_gates(context), known.nftables_gate
    if requested == "nftables" and gate and not gates.get(gate, gates.get("AllAlpha")):
        raise Failure(
            f"{source}: nftables in Kubernetes {version} needs the feature gate {gate}",
            f"add {gate}=true to start.feature_gates (FEATURE_GATES)",
        )
    return DEFAULT_MODE if requested == "ipvs" and not ipvs else requested


def configuration(context: Context, proxy_mode: str) -> str:
    """Return the text of the KubeProxyConfiguration."""
    settings = context.settings
    return templates.render(
        "kube-proxy.yaml.j2",
        api_version=context.facts.kube_proxy_config,
        kubeconfig=str(settings.paths.kubeconfig("kube-proxy")),
        hostname=settings.kubelet.hostname_override,
        proxy=settings.proxy,
        mode=proxy_mode,
        cluster_cidr=settings.controller_manager.cluster_cidr,
        feature_gates=shared_flags.feature_gates(context),
    )


def _file(settings: Settings) -> Path:
    return settings.paths.config / "kube-proxy.yaml"


SPEC = Spec(
    name=NAME,
    program=Program("module", NAME),
    build=build,
    flags=desired_flags,
    after=AFTER,
    part="kube-proxy",
    sandboxed=True,
    host_queries=("ipvs",),
    start_checks=("cgroups",),
    exposed_ports=lambda settings: (settings.proxy.healthz_port,),
    port_group="proxy",
    debug_offset=1,
    certs=(
        "server-ca",
        "client-kube-proxy",
        "kubeconfig-kube-proxy",
    ),
)
