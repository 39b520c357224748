"""kubelet: a configuration file, and flags for what it has no field for."""

from __future__ import annotations

import os
from pathlib import Path

from tasks import facts, templates
from tasks.components import containerd, flags
from tasks.components.base import Component, Context, Health
from tasks.failure import Failure
from tasks.settings import Settings

NAME = "kubelet"
AFTER = ("kube-apiserver", "containerd")
CERTS = ("server-ca", "client-ca", "client-kubelet", "kubeconfig-kubelet", "serving-kubelet")
_PUBLIC_DNS = "8.8.8.8"
# the kubelet listens there, and ends when the path is longer than a socket address holds
_SOCKET, _SOCKET_LIMIT = "pod-resources/kubelet.sock", 107


def root(chosen: Settings) -> Path:
    """Return the kubelet's root folder, where it mounts the volumes of pods."""
    return chosen.paths.instance / "kubelet"


def wanted(context: Context) -> flags.Wanted:
    """Return the flags; those of start_kubelet that are not fields of the file."""
    chosen = context.settings
    return {
        "allow-privileged": chosen.api.allow_privileged,
        **flags.logging(chosen),
        "chaos-chance": chosen.kubelet.chaos_chance,
        "hostname-override": chosen.kubelet.hostname_override,
        **({"node-ip": chosen.node.address} if chosen.node.sandbox else {}),
        **_cloud(chosen),
        "kubeconfig": chosen.paths.kubeconfig("kubelet"),
        "keep-terminated-pod-volumes": chosen.kubelet.keep_terminated_pod_volumes,
        **_runtime(context),
        "root-dir": root(chosen),
        "cert-dir": root(chosen) / "pki",
        "config": _file(chosen),
    }


def build(context: Context) -> Component:
    """Describe the kubelet; the user's flags come last, so that they win."""
    chosen = context.settings
    _check_length(root(chosen) / _SOCKET)
    endpoint = context.facts.health[NAME]
    port, healthz = chosen.kubelet.port, chosen.kubelet.healthz_port
    return Component(
        name=NAME,
        argv=(*flags.argv(NAME, context, wanted(context)), *flags.own(chosen, "kubelet.flags")),
        health=Health(flags.url(endpoint.scheme, "127.0.0.1", healthz, endpoint.path)),
        after=AFTER if containerd.runs(chosen) else AFTER[:1],
        env=flags.debug_env(chosen),
        files={_file(chosen): configuration(context)},
        inputs=(
            *flags.credentials(chosen, "kubelet"),
            *flags.pair(chosen, "serving-kubelet"),
            _client_ca(chosen),
            *flags.named(chosen.start.cloud_config),
        ),
        folders=(
            root(chosen), root(chosen) / "pki", root(chosen) / "volume-plugins",
            _manifests(chosen), _pod_logs(chosen),
        ),
        # the relay to the sandbox holds the host's ports
        ports=() if chosen.node.sandbox else (port, healthz),
    )


def configuration(context: Context) -> str:
    """Render the KubeletConfiguration; a field enters it with the minor that has it."""
    chosen = context.settings
    crt, key = flags.pair(chosen, "serving-kubelet")
    optional: dict[str, str | bool] = {
        "containerRuntimeEndpoint": containerd.endpoint(chosen),
        "imageServiceEndpoint": chosen.node.image_service_endpoint,
        "volumePluginDir": str(root(chosen) / "volume-plugins"),
        "podLogsDir": str(_pod_logs(chosen)),
        "failCgroupV1": False,
    }
    return templates.render(
        "kubelet.yaml.j2",
        api_version=context.facts.kubelet_config,
        kubelet=chosen.kubelet,
        cluster_dns=_cluster_dns(chosen),
        cluster_domain=chosen.dns.domain if chosen.dns.enabled else "",
        # the sandbox is closed, and its relay comes from loopback, pods from elsewhere
        address="0.0.0.0" if chosen.node.sandbox else chosen.kubelet.host,  # noqa: S104
        crt=str(crt),
        key=str(key),
        client_ca=str(_client_ca(chosen)),
        # a resolver on the host's loopback would be another one inside the sandbox
        resolv_conf="" if chosen.node.sandbox else "/etc/resolv.conf",
        manifests=str(_manifests(chosen)),
        cgroup_root=_cgroup_root(chosen),
        eviction_hard=_thresholds(chosen.kubelet.eviction_hard),
        eviction_soft=_thresholds(chosen.kubelet.eviction_soft),
        feature_gates=flags.feature_gates(context),
        pause_tolerant=chosen.debug.pause_tolerant,
        optional={name: value for name, value in optional.items()
                  if value != "" and _field(context, name)},
    )


def _runtime(context: Context) -> dict[str, flags.Value]:
    """Return the flags of what became fields later, and of the runtime, which is never Docker."""
    chosen = context.settings
    image = chosen.node.image_service_endpoint
    late: dict[str, tuple[str, flags.Value]] = {
        "containerRuntimeEndpoint": ("container-runtime-endpoint", containerd.endpoint(chosen)),
        "volumePluginDir": ("volume-plugin-dir", root(chosen) / "volume-plugins"),
        **({"imageServiceEndpoint": ("image-service-endpoint", image)} if image else {}),
    }
    return {
        "container-runtime": "remote",
        **{flag: value for name, (flag, value) in late.items() if not _field(context, name)},
        "pod-infra-container-image": containerd.PAUSE,
    }


def _field(context: Context, name: str) -> bool:
    return facts.flag_known("kubelet.yaml", name, context.minor)


def _cloud(chosen: Settings) -> dict[str, flags.Value]:
    if not chosen.start.external_cloud_provider:
        return flags.cloud(chosen)
    return {**flags.cloud(chosen), "provider-id": chosen.kubelet.hostname_override}


def _thresholds(listed: str) -> dict[str, str]:
    pairs = (item.strip().split("<", 1) for item in listed.split(",") if "<" in item)
    return {signal.strip(): quantity.strip() for signal, quantity in pairs}


def _client_ca(chosen: Settings) -> Path:
    return Path(flags.path(chosen.kubelet.client_ca_file) or flags.pair(chosen, "client-ca")[0])


def _manifests(chosen: Settings) -> Path:
    own = chosen.kubelet.pod_manifest_path
    return Path(flags.path(own)) if own else chosen.paths.instance / "manifests"


def _pod_logs(chosen: Settings) -> Path:
    return chosen.paths.logs / "pods"


def _cluster_dns(chosen: Settings) -> str:
    """Return whom pods ask; without cluster DNS at least names of the world, as upstream does."""
    if not chosen.dns.enabled:
        return _PUBLIC_DNS
    return chosen.dns.local_ip if chosen.dns.nodelocal else chosen.dns.server_ip


def _cgroup_root(chosen: Settings) -> str:
    """Return the control group that the sandbox makes for the node."""
    in_sandbox = chosen.node.sandbox and chosen.kubelet.cgroups_per_qos
    return f"/stepkube-{chosen.name}" if in_sandbox else ""


def _file(chosen: Settings) -> Path:
    return chosen.paths.config / "kubelet.yaml"


def _check_length(socket: Path) -> None:
    excess = len(os.fsencode(socket)) - _SOCKET_LIMIT
    if excess > 0:
        raise Failure(
            f"the kubelet cannot listen at {socket}: {excess} bytes longer than a socket may be",
            "point STEPKUBE_HOME at a shorter path, or use a shorter instance name",
        )
