"""kubelet: a configuration file, and flags for what it has no field for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.components import command_line, containerd, docker, shared_flags
from tasks.components.base import Component, Context
from tasks.kubernetes import facts
from tasks.settings import addresses, cert_files, templates
from tasks.settings.groups import Node
from tasks.settings.load import Settings
from tasks.settings.paths import absolute, user_files
from tasks.system.ports import Health

NAME = "kubelet"
AFTER = ("kube-apiserver", "containerd")
CERTS = ("server-ca", "client-ca", "client-kubelet", "kubeconfig-kubelet", "serving-kubelet")
Field = str | bool | Mapping[str, str | int]
TRACES = 4317
"""Port of an OpenTelemetry collector."""
_PUBLIC_DNS = "8.8.8.8"


def root(settings: Settings) -> Path:
    """Return the kubelet's root folder, where it mounts the volumes of pods."""
    return settings.paths.instance / "kubelet"


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags; those of start_kubelet that are not fields of the file."""
    settings = context.settings
    return {
        "allow-privileged": settings.api.allow_privileged,
        **shared_flags.logging_flags(settings),
        "chaos-chance": settings.kubelet.chaos_chance,
        "hostname-override": settings.kubelet.hostname_override,
        **({"node-ip": settings.node.address} if settings.node.sandbox else {}),
        **_cloud(settings),
        "kubeconfig": settings.paths.kubeconfig("kubelet"),
        "keep-terminated-pod-volumes": settings.kubelet.keep_terminated_pod_volumes,
        **({"containerized": True} if settings.kubelet.dockerize else {}),
        **_runtime(context),
        "root-dir": root(settings),
        "cert-dir": root(settings) / "pki",
        "config": _file(settings),
    }


def build(context: Context) -> Component:
    """Describe the kubelet; the user's flags come last, so that they win."""
    settings = context.settings
    endpoint = context.facts.health[NAME]
    port, healthz = settings.kubelet.port, settings.kubelet.healthz_port
    return Component(
        name=NAME,
        argv=(
            *command_line.argv(NAME, context, desired_flags(context)),
            *command_line.extra_flags(settings, "kubelet.flags"),
        ),
        health=Health(addresses.url(endpoint.scheme, "127.0.0.1", healthz, endpoint.path)),
        after=AFTER if containerd.runs(settings) else AFTER[:1],
        env=shared_flags.debug_env(settings),
        image=docker.image(settings, context.minor),
        files={_file(settings): configuration(context)},
        inputs=(
            *cert_files.kubeconfig_files(settings, "kubelet"),
            *cert_files.pair(settings, "serving-kubelet"),
            _client_ca(settings),
            *user_files(settings.start.cloud_config, settings.kubelet.resolv_conf),
        ),
        folders=(
            root(settings),
            root(settings) / "pki",
            root(settings) / "volume-plugins",
            _manifests(settings),
            _pod_logs(settings),
        ),
        # the kubelet ends over a policy that is not the one it was started with the last time
        states={
            root(settings)
            / "cpu_manager_state": f'"policyName":"{settings.kubelet.cpumanager_policy or "none"}"',
        },
        sockets=(root(settings) / "pod-resources" / "kubelet.sock",),
        # the relay to the sandbox holds the host's ports
        ports=()
        if settings.node.sandbox
        else (port, healthz, *filter(None, [settings.kubelet.read_only_port])),
    )


def configuration(context: Context) -> str:
    """Render the KubeletConfiguration; a field enters it with the minor that has it."""
    settings = context.settings
    crt, key = cert_files.pair(settings, "serving-kubelet")
    soft = _thresholds(settings.kubelet.eviction_soft)
    optional: dict[str, Field] = {
        "containerRuntimeEndpoint": containerd.endpoint(settings),
        "imageServiceEndpoint": settings.node.image_service_endpoint,
        "volumePluginDir": str(root(settings) / "volume-plugins"),
        "podLogsDir": str(_pod_logs(settings)),
        "failCgroupV1": False,
        **_chosen_fields(settings),
    }
    return templates.render(
        "kubelet.yaml.j2",
        api_version=context.facts.kubelet_config,
        kubelet=settings.kubelet,
        cluster_dns=_cluster_dns(settings),
        cluster_domain=settings.dns.domain if settings.dns.enabled else "",
        # the sandbox is closed, and its relay comes from loopback, pods from elsewhere
        address="0.0.0.0" if settings.node.sandbox else settings.kubelet.host,  # noqa: S104
        crt=str(crt),
        key=str(key),
        client_ca=str(_client_ca(settings)),
        # a resolver on the host's loopback would be another one inside the sandbox
        resolv_conf=absolute(settings.kubelet.resolv_conf)
        or ("" if settings.node.sandbox else "/etc/resolv.conf"),
        manifests=str(_manifests(settings)),
        cgroup_root=_cgroup_root(settings),
        eviction_hard=_thresholds(settings.kubelet.eviction_hard),
        eviction_soft=soft,
        # upstream's script has no variable for it, and the kubelet ends without one
        eviction_soft_grace_period=dict.fromkeys(soft, settings.kubelet.eviction_soft_grace_period),
        feature_gates=shared_flags.feature_gates(context),
        # a container runtime may be paused too
        request_timeout=settings.kubelet.runtime_request_timeout
        or ("24h" if settings.debug.pause_tolerant else ""),
        optional={
            name: value for name, value in optional.items() if value != "" and _field(context, name)
        },
    )


def _chosen_fields(settings: Settings) -> dict[str, Field]:
    """Return the fields that are written only when the user says so."""
    kubelet = settings.kubelet
    pairs = (item.partition("=") for item in kubelet.cpumanager_policy_options.split(","))
    options = {name.strip(): value.strip(' "') for name, _, value in pairs if name.strip()}
    swap = {"swapBehavior": "LimitedSwap"}
    traces: Field = {"endpoint": f"localhost:{TRACES}", "samplingRatePerMillion": 1000000}
    return {
        "memorySwap": swap if kubelet.limited_swap else "",
        "tracing": traces if kubelet.tracing else "",
        "localStorageCapacityIsolation": "" if kubelet.local_storage_capacity_isolation else False,
        "topologyManagerPolicy": kubelet.topology_manager_policy,
        "cpuManagerPolicy": kubelet.cpumanager_policy,
        "cpuManagerReconcilePeriod": kubelet.cpumanager_reconcile_period,
        "cpuManagerPolicyOptions": options or "",
    }


def _runtime(context: Context) -> dict[str, command_line.Value]:
    """Return the flags of what became fields later, and of the runtime."""
    settings = context.settings
    node, image = settings.node, settings.node.image_service_endpoint
    endpoint = containerd.endpoint(settings)
    late: dict[str, tuple[str, command_line.Value]] = {
        **(
            {"containerRuntimeEndpoint": ("container-runtime-endpoint", endpoint)}
            if endpoint
            else {}
        ),
        "volumePluginDir": ("volume-plugin-dir", root(settings) / "volume-plugins"),
        **({"imageServiceEndpoint": ("image-service-endpoint", image)} if image else {}),
    }
    return {
        "container-runtime": node.container_runtime,
        **({"network-plugin": node.net_plugin} if node.net_plugin else {}),
        **(docker.flags_of(node) if docker.runs(settings) else {}),
        **(_rkt(node) if node.container_runtime == "rkt" else {}),
        **{flag: value for name, (flag, value) in late.items() if not _field(context, name)},
        "pod-infra-container-image": containerd.pause(settings),
    }


def _field(context: Context, name: str) -> bool:
    return facts.flag_known("kubelet.yaml", name, context.minor)


def _cloud(settings: Settings) -> dict[str, command_line.Value]:
    own, outside = settings.kubelet.provider_id, settings.start.external_cloud_provider
    identity = own or (settings.kubelet.hostname_override if outside else "")
    return {**shared_flags.cloud_flags(settings), **({"provider-id": identity} if identity else {})}


def _rkt(node: Node) -> dict[str, command_line.Value]:
    words = {"rkt-path": node.rkt_path, "rkt-stage1-image": node.rkt_stage1_image}
    return {name: value for name, value in words.items() if value}


def _thresholds(listed: str) -> dict[str, str]:
    pairs = (item.strip().split("<", 1) for item in listed.split(",") if "<" in item)
    return {signal.strip(): quantity.strip() for signal, quantity in pairs}


def _client_ca(settings: Settings) -> Path:
    return Path(
        absolute(settings.kubelet.client_ca_file) or cert_files.pair(settings, "client-ca")[0]
    )


def _manifests(settings: Settings) -> Path:
    own = settings.kubelet.pod_manifest_path
    return Path(absolute(own)) if own else settings.paths.instance / "manifests"


def _pod_logs(settings: Settings) -> Path:
    return settings.paths.logs / "pods"


def _cluster_dns(settings: Settings) -> str:
    """Return whom pods ask; without cluster DNS at least names of the world, as upstream does."""
    if not settings.dns.enabled:
        return _PUBLIC_DNS
    return settings.dns.local_ip if settings.dns.nodelocal else settings.dns.server_ip


def _cgroup_root(settings: Settings) -> str:
    """Return the user's control group, or the one that the sandbox makes for the node."""
    if settings.kubelet.cgroup_root:
        return settings.kubelet.cgroup_root
    in_sandbox = settings.node.sandbox and settings.kubelet.cgroups_per_qos
    return f"/stepkube-{settings.name}" if in_sandbox else ""


def _file(settings: Settings) -> Path:
    return settings.paths.config / "kubelet.yaml"
