"""KubeletConfiguration: the kubelet's configuration file, with the fields of its minor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.components import containerd, shared_flags
from tasks.components.base import Context
from tasks.kubernetes import facts
from tasks.settings import cert_files, templates
from tasks.settings.load import Settings
from tasks.settings.paths import absolute

Field = str | bool | Mapping[str, str | int]
TRACING_PORT = 4317
"""The port of an OpenTelemetry collector."""
_PUBLIC_DNS = "8.8.8.8"


def root(settings: Settings) -> Path:
    """Return the kubelet's root folder, where it mounts the volumes of pods."""
    return settings.paths.instance / "kubelet"


def configuration(context: Context) -> str:
    """Return the text of the KubeletConfiguration, with only the fields that the minor has."""
    settings = context.settings
    crt, key = cert_files.pair(settings, "serving-kubelet")
    soft = _thresholds(settings.kubelet.eviction_soft)
    optional: dict[str, Field] = {
        "containerRuntimeEndpoint": containerd.endpoint(settings),
        "imageServiceEndpoint": settings.node.image_service_endpoint,
        "volumePluginDir": str(root(settings) / "volume-plugins"),
        "podLogsDir": str(pod_logs(settings)),
        "failCgroupV1": False,
        **_user_fields(settings),
    }
    return templates.render(
        "kubelet.yaml.j2",
        api_version=context.facts.kubelet_config,
        kubelet=settings.kubelet,
        cluster_dns=_cluster_dns(settings),
        cluster_domain=settings.dns.domain if settings.dns.enabled else "",
        # in the sandbox, forwarders connect to loopback and pods to another address
        address="0.0.0.0" if settings.node.sandbox else settings.kubelet.host,  # noqa: S104
        crt=str(crt),
        key=str(key),
        client_ca=str(client_ca(settings)),
        # a resolver on the host's loopback cannot be reached from the sandbox
        resolv_conf=absolute(settings.kubelet.resolv_conf)
        or ("" if settings.node.sandbox else "/etc/resolv.conf"),
        manifests=str(manifests(settings)),
        cgroup_root=_cgroup_root(settings),
        eviction_hard=_thresholds(settings.kubelet.eviction_hard),
        eviction_soft=soft,
        # upstream's script has no variable for it, and without it the kubelet exits
        eviction_soft_grace_period=grace_periods(settings),
        feature_gates=shared_flags.feature_gates(context),
        # the container runtime may be paused too
        request_timeout=settings.kubelet.runtime_request_timeout
        or ("24h" if settings.debug.pause_tolerant else ""),
        optional={
            name: value
            for name, value in optional.items()
            if value != "" and has_field(context, name)
        },
    )


def _user_fields(settings: Settings) -> dict[str, Field]:
    """Return the fields that are written only when the user sets them; the others are empty."""
    kubelet = settings.kubelet
    pairs = (item.partition("=") for item in kubelet.cpumanager_policy_options.split(","))
    options = {name.strip(): value.strip(' "') for name, _, value in pairs if name.strip()}
    swap = {"swapBehavior": "LimitedSwap"}
    tracing: Field = {"endpoint": f"localhost:{TRACING_PORT}", "samplingRatePerMillion": 1000000}
    return {
        "memorySwap": swap if kubelet.limited_swap else "",
        "tracing": tracing if kubelet.tracing else "",
        "localStorageCapacityIsolation": "" if kubelet.local_storage_capacity_isolation else False,
        "topologyManagerPolicy": kubelet.topology_manager_policy,
        "cpuManagerPolicy": kubelet.cpumanager_policy,
        "cpuManagerReconcilePeriod": kubelet.cpumanager_reconcile_period,
        "cpuManagerPolicyOptions": options or "",
    }


def has_field(context: Context, name: str) -> bool:
    """Return whether the file of this minor has a field."""
    return facts.flag_known("kubelet.yaml", name, context.minor)


def _thresholds(text: str) -> dict[str, str]:
    """Return the quantities of eviction thresholds such as memory.available<100Mi, by signal."""
    pairs = (item.strip().split("<", 1) for item in text.split(",") if "<" in item)
    return {signal.strip(): quantity.strip() for signal, quantity in pairs}


def grace_periods(settings: Settings) -> dict[str, str]:
    """Return the grace periods of the soft eviction thresholds, by signal.

    kubelet.eviction_soft_grace_period is one period for all signals, or has a period for each.
    """
    period = settings.kubelet.eviction_soft_grace_period
    if "=" not in period:
        return dict.fromkeys(_thresholds(settings.kubelet.eviction_soft), period)
    pairs = (item.partition("=") for item in period.split(","))
    return {signal.strip(): value.strip() for signal, _, value in pairs}


def client_ca(settings: Settings) -> Path:
    """Return the CA of clients that the kubelet trusts: the user's, or the cluster's."""
    return Path(
        absolute(settings.kubelet.client_ca_file) or cert_files.pair(settings, "client-ca")[0]
    )


def manifests(settings: Settings) -> Path:
    """Return the folder of the manifests of static pods."""
    path = settings.kubelet.pod_manifest_path
    return Path(absolute(path)) if path else settings.paths.instance / "manifests"


def pod_logs(settings: Settings) -> Path:
    """Return the folder of the pod logs."""
    return settings.paths.logs / "pods"


def _cluster_dns(settings: Settings) -> str:
    """Return the DNS server of pods; without cluster DNS a public one, like upstream."""
    if not settings.dns.enabled:
        return _PUBLIC_DNS
    return settings.dns.local_ip if settings.dns.nodelocal else settings.dns.server_ip


def _cgroup_root(settings: Settings) -> str:
    """Return the user's control group, or the one that the sandbox creates for the node."""
    if settings.kubelet.cgroup_root:
        return settings.kubelet.cgroup_root
    in_sandbox = settings.node.sandbox and settings.kubelet.cgroups_per_qos
    return f"/stepkube-{settings.name}" if in_sandbox else ""
