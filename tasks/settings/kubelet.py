"""Settings of the kubelet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import Flags, Pairs, Thresholds, UserPath, option

CgroupDriver = Literal["", "cgroupfs", "systemd"]
CpuPolicy = Literal["", "none", "static"]
TopologyPolicy = Literal["", "none", "best-effort", "restricted", "single-numa-node"]


@dataclass(frozen=True)
class Kubelet:
    """kubelet."""

    host: str = option("127.0.0.1", "address on which the kubelet listens", "KUBELET_HOST")
    port: int = option(10250, "https port", "KUBELET_PORT")
    healthz_port: int = option(
        10248, "port of /healthz", "KUBELET_HEALTHZ_PORT", variable_since="1.29"
    )
    read_only_port: int = option(
        0,
        "unauthenticated http port; 0 for none",
        "KUBELET_READ_ONLY_PORT",
        variable_since="1.21",
    )
    flags: Flags = option("", "more flags, with shell quoting", "KUBELET_FLAGS")
    hostname_override: str = option("127.0.0.1", "name of the node", "HOSTNAME_OVERRIDE")
    fail_swap_on: bool = option(False, "refuse to start on a host with swap", "FAIL_SWAP_ON")
    cgroups_per_qos: bool = option(True, "make one cgroup per QoS class", "CGROUPS_PER_QOS")
    cgroup_driver: CgroupDriver = option(
        "", "driver that makes cgroups; empty means cgroupfs", "CGROUP_DRIVER"
    )
    cgroup_root: str = option(
        "",
        "cgroup of all pods; empty means the sandbox's cgroup, or the root cgroup without sandbox",
        "CGROUP_ROOT",
        variable_since="1.13",
    )
    cpu_cfs_quota: bool = option(True, "enforce CPU limits", "CPU_CFS_QUOTA")
    enable_controller_attach_detach: bool = option(
        True, "let kube-controller-manager attach volumes", "ENABLE_CONTROLLER_ATTACH_DETACH"
    )
    eviction_hard: Thresholds = option(
        "memory.available<100Mi,nodefs.available<500Mi,nodefs.inodesFree<1%",
        "hard eviction thresholds; upstream's 10% of a large disk is more than needed",
        "EVICTION_HARD",
    )
    eviction_pressure_transition_period: str = option(
        "1m",
        "time that a node stays in a pressure condition at least",
        "EVICTION_PRESSURE_TRANSITION_PERIOD",
    )
    limited_swap: bool = option(
        False,
        "let pods use swap, each up to its share (LimitedSwap)",
        "LIMITED_SWAP",
        since="1.22",
        variable_since="1.26",
    )
    local_storage_capacity_isolation: bool = option(
        True,
        "measure and limit the local disk space of pods",
        "LOCAL_STORAGE_CAPACITY_ISOLATION",
        since="1.25",
        variable_since="1.26",
    )
    tracing: bool = option(
        False,
        "send every trace to an OpenTelemetry collector on localhost:4317",
        "ENABLE_TRACING",
        since="1.25",
        variable_since="1.26",
    )
    topology_manager_policy: TopologyPolicy = option(
        "",
        "policy for placing CPUs and devices on NUMA nodes; empty means none",
        "TOPOLOGY_MANAGER_POLICY",
        since="1.16",
        variable_since="1.29",
    )
    cpumanager_policy: CpuPolicy = option(
        "",
        "CPU manager policy; static gives containers exclusive CPUs; empty means none",
        "CPUMANAGER_POLICY",
        variable_since="1.29",
    )
    cpumanager_reconcile_period: str = option(
        "",
        "period for checking the CPUs of containers; empty means 10s",
        "CPUMANAGER_RECONCILE_PERIOD",
        variable_since="1.29",
    )
    cpumanager_policy_options: Pairs = option(
        "",
        "options of the policy static, such as full-pcpus-only=true",
        "CPUMANAGER_POLICY_OPTIONS",
        since="1.22",
        variable_since="1.29",
    )
    runtime_request_timeout: str = option(
        "",
        "timeout of a call to the container runtime; empty means 24h with debug.pause_tolerant,"
        " else 2m",
        "RUNTIME_REQUEST_TIMEOUT",
        variable_since="1.15",
    )
    resolv_conf: UserPath = option(
        "",
        "resolv.conf file for pods; empty means /etc/resolv.conf, or none in the sandbox",
        "KUBELET_RESOLV_CONF",
        variable_since="1.21",
    )
    provider_id: str = option(
        "",
        "ID of the node in its cloud; empty means its name with an external cloud provider",
        "KUBELET_PROVIDER_ID",
        variable_since="1.16",
    )
    pod_manifest_path: UserPath = option(
        "",
        "folder with manifests of static pods; empty means in the instance's folder",
        "POD_MANIFEST_PATH",
    )
    eviction_soft: Thresholds = option("", "soft eviction thresholds", "EVICTION_SOFT")
    eviction_soft_grace_period: Pairs = option(
        "90s",
        "time over a soft threshold before pods are evicted: one for all signals, or"
        " memory.available=90s for each",
    )
    authentication_webhook: bool = option(
        True, "let kube-apiserver authenticate clients", "KUBELET_AUTHENTICATION_WEBHOOK"
    )
    authorization_webhook: bool = option(
        True, "let kube-apiserver authorize clients", "KUBELET_AUTHORIZATION_WEBHOOK"
    )
    client_ca_file: UserPath = option(
        "", "CA of the kubelet's clients; empty means the cluster's client CA", "CLIENT_CA_FILE"
    )
    chaos_chance: float = option(
        0.0, "probability of an artificial error, 0 to 1", "CHAOS_CHANCE", until="1.21"
    )
    dockerize: bool = option(
        False,
        "run the built kubelet in a Docker container",
        "DOCKERIZE_KUBELET",
        until="1.13",
    )
    image: str = option(
        "",
        "image with the programs that the kubelet in a container calls; empty means hyperkube",
        "KUBELET_IMAGE",
        until="1.13",
        variable_since="1.11",
    )
    keep_terminated_pod_volumes: bool = option(
        True,
        "keep volumes of terminated pods mounted, for debugging",
        "KEEP_TERMINATED_POD_VOLUMES",
        until="1.11",
    )
