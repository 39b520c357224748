"""kubelet: a configuration file, and flags for what it has no field for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.components import containerd, docker, flags
from tasks.components.base import Component, Context
from tasks.kubernetes import facts
from tasks.settings import templates
from tasks.settings.groups import Node
from tasks.settings.load import Settings
from tasks.system.ports import Health

NAME = "kubelet"
AFTER = ("kube-apiserver", "containerd")
CERTS = ("server-ca", "client-ca", "client-kubelet", "kubeconfig-kubelet", "serving-kubelet")
Field = str | bool | Mapping[str, str | int]
TRACES = 4317
"""Port of an OpenTelemetry collector."""
_PUBLIC_DNS = "8.8.8.8"


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
        **({"containerized": True} if chosen.kubelet.dockerize else {}),
        **_runtime(context),
        "root-dir": root(chosen),
        "cert-dir": root(chosen) / "pki",
        "config": _file(chosen),
    }


def build(context: Context) -> Component:
    """Describe the kubelet; the user's flags come last, so that they win."""
    chosen = context.settings
    endpoint = context.facts.health[NAME]
    port, healthz = chosen.kubelet.port, chosen.kubelet.healthz_port
    return Component(
        name=NAME,
        argv=(*flags.argv(NAME, context, wanted(context)), *flags.own(chosen, "kubelet.flags")),
        health=Health(flags.url(endpoint.scheme, "127.0.0.1", healthz, endpoint.path)),
        after=AFTER if containerd.runs(chosen) else AFTER[:1],
        env=flags.debug_env(chosen),
        image=docker.image(chosen, context.minor),
        files={_file(chosen): configuration(context)},
        inputs=(
            *flags.credentials(chosen, "kubelet"),
            *flags.pair(chosen, "serving-kubelet"),
            _client_ca(chosen),
            *flags.named(chosen.start.cloud_config, chosen.kubelet.resolv_conf),
        ),
        folders=(
            root(chosen),
            root(chosen) / "pki",
            root(chosen) / "volume-plugins",
            _manifests(chosen),
            _pod_logs(chosen),
        ),
        # the kubelet ends over a policy that is not the one it was started with the last time
        states={
            root(chosen)
            / "cpu_manager_state": f'"policyName":"{chosen.kubelet.cpumanager_policy or "none"}"',
        },
        sockets=(root(chosen) / "pod-resources" / "kubelet.sock",),
        # the relay to the sandbox holds the host's ports
        ports=()
        if chosen.node.sandbox
        else (port, healthz, *filter(None, [chosen.kubelet.read_only_port])),
    )


def configuration(context: Context) -> str:
    """Render the KubeletConfiguration; a field enters it with the minor that has it."""
    chosen = context.settings
    crt, key = flags.pair(chosen, "serving-kubelet")
    soft = _thresholds(chosen.kubelet.eviction_soft)
    optional: dict[str, Field] = {
        "containerRuntimeEndpoint": containerd.endpoint(chosen),
        "imageServiceEndpoint": chosen.node.image_service_endpoint,
        "volumePluginDir": str(root(chosen) / "volume-plugins"),
        "podLogsDir": str(_pod_logs(chosen)),
        "failCgroupV1": False,
        **_chosen_fields(chosen),
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
        resolv_conf=flags.path(chosen.kubelet.resolv_conf)
        or ("" if chosen.node.sandbox else "/etc/resolv.conf"),
        manifests=str(_manifests(chosen)),
        cgroup_root=_cgroup_root(chosen),
        eviction_hard=_thresholds(chosen.kubelet.eviction_hard),
        eviction_soft=soft,
        # upstream's script has no variable for it, and the kubelet ends without one
        eviction_soft_grace_period=dict.fromkeys(soft, chosen.kubelet.eviction_soft_grace_period),
        feature_gates=flags.feature_gates(context),
        # a container runtime may be paused too
        request_timeout=chosen.kubelet.runtime_request_timeout
        or ("24h" if chosen.debug.pause_tolerant else ""),
        optional={
            name: value for name, value in optional.items() if value != "" and _field(context, name)
        },
    )


def _chosen_fields(chosen: Settings) -> dict[str, Field]:
    """Return the fields that are written only when the user says so."""
    kubelet = chosen.kubelet
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


def _runtime(context: Context) -> dict[str, flags.Value]:
    """Return the flags of what became fields later, and of the runtime."""
    chosen = context.settings
    node, image = chosen.node, chosen.node.image_service_endpoint
    endpoint = containerd.endpoint(chosen)
    late: dict[str, tuple[str, flags.Value]] = {
        **(
            {"containerRuntimeEndpoint": ("container-runtime-endpoint", endpoint)}
            if endpoint
            else {}
        ),
        "volumePluginDir": ("volume-plugin-dir", root(chosen) / "volume-plugins"),
        **({"imageServiceEndpoint": ("image-service-endpoint", image)} if image else {}),
    }
    return {
        "container-runtime": node.container_runtime,
        **({"network-plugin": node.net_plugin} if node.net_plugin else {}),
        **(docker.flags_of(node) if docker.runs(chosen) else {}),
        **(_rkt(node) if node.container_runtime == "rkt" else {}),
        **{flag: value for name, (flag, value) in late.items() if not _field(context, name)},
        "pod-infra-container-image": containerd.pause(chosen),
    }


def _field(context: Context, name: str) -> bool:
    return facts.flag_known("kubelet.yaml", name, context.minor)


def _cloud(chosen: Settings) -> dict[str, flags.Value]:
    own, outside = chosen.kubelet.provider_id, chosen.start.external_cloud_provider
    identity = own or (chosen.kubelet.hostname_override if outside else "")
    return {**flags.cloud(chosen), **({"provider-id": identity} if identity else {})}


def _rkt(node: Node) -> dict[str, flags.Value]:
    words = {"rkt-path": node.rkt_path, "rkt-stage1-image": node.rkt_stage1_image}
    return {name: value for name, value in words.items() if value}


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
    """Return the user's control group, or the one that the sandbox makes for the node."""
    if chosen.kubelet.cgroup_root:
        return chosen.kubelet.cgroup_root
    in_sandbox = chosen.node.sandbox and chosen.kubelet.cgroups_per_qos
    return f"/stepkube-{chosen.name}" if in_sandbox else ""


def _file(chosen: Settings) -> Path:
    return chosen.paths.config / "kubelet.yaml"
