"""Settings of the kubelet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import option

CgroupDriver = Literal["", "cgroupfs", "systemd"]
CpuPolicy = Literal["", "none", "static"]
TopologyPolicy = Literal["", "none", "best-effort", "restricted", "single-numa-node"]


@dataclass(frozen=True)
class Kubelet:
    """kubelet."""

    host: str = option("127.0.0.1", "address the kubelet listens on", "KUBELET_HOST")
    port: int = option(10250, "https port", "KUBELET_PORT")
    healthz_port: int = option(
        10248, "port of /healthz", "KUBELET_HEALTHZ_PORT", variable_since="1.29"
    )
    read_only_port: int = option(
        0,
        "http port that asks nobody who he is, 0 for none",
        "KUBELET_READ_ONLY_PORT",
        variable_since="1.21",
    )
    flags: str = option("", "more flags, parsed like a shell does", "KUBELET_FLAGS")
    hostname_override: str = option("127.0.0.1", "name of the node", "HOSTNAME_OVERRIDE")
    fail_swap_on: bool = option(False, "refuse to start on a host with swap", "FAIL_SWAP_ON")
    cgroups_per_qos: bool = option(True, "one cgroup per QoS class", "CGROUPS_PER_QOS")
    cgroup_driver: CgroupDriver = option(
        "", "who makes control groups; empty means cgroupfs", "CGROUP_DRIVER"
    )
    cgroup_root: str = option(
        "",
        "control group of all pods; empty means the sandbox's own, or the topmost",
        "CGROUP_ROOT",
        variable_since="1.13",
    )
    cpu_cfs_quota: bool = option(True, "enforce CPU limits", "CPU_CFS_QUOTA")
    enable_controller_attach_detach: bool = option(
        True, "let the controller manager attach volumes", "ENABLE_CONTROLLER_ATTACH_DETACH"
    )
    eviction_hard: str = option(
        "memory.available<100Mi,nodefs.available<500Mi,nodefs.inodesFree<1%",
        "hard eviction thresholds; a tenth of a large disk, as upstream has it, is no want",
        "EVICTION_HARD",
    )
    eviction_pressure_transition_period: str = option(
        "1m",
        "time before a node leaves a pressure condition",
        "EVICTION_PRESSURE_TRANSITION_PERIOD",
    )
    limited_swap: bool = option(
        False,
        "let pods swap up to their share",
        "LIMITED_SWAP",
        since="1.22",
        variable_since="1.26",
    )
    local_storage_capacity_isolation: bool = option(
        True,
        "account for and limit the disk that pods use",
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
        "how CPUs and devices are placed on NUMA nodes; empty means none",
        "TOPOLOGY_MANAGER_POLICY",
        since="1.16",
        variable_since="1.29",
    )
    cpumanager_policy: CpuPolicy = option(
        "",
        "whether containers get CPUs of their own; empty means none",
        "CPUMANAGER_POLICY",
        variable_since="1.29",
    )
    cpumanager_reconcile_period: str = option(
        "",
        "how often CPUs are compared with what was given out; empty means 10s",
        "CPUMANAGER_RECONCILE_PERIOD",
        variable_since="1.29",
    )
    cpumanager_policy_options: str = option(
        "",
        "options of the policy static, such as full-pcpus-only=true",
        "CPUMANAGER_POLICY_OPTIONS",
        since="1.22",
        variable_since="1.29",
    )
    runtime_request_timeout: str = option(
        "",
        "time a call of the container runtime may take; empty means 2m, or 24h where pauses"
        " are tolerated",
        "RUNTIME_REQUEST_TIMEOUT",
        variable_since="1.15",
    )
    resolv_conf: str = option(
        "",
        "resolver file of pods; empty means /etc/resolv.conf, and none in the sandbox",
        "KUBELET_RESOLV_CONF",
        variable_since="1.21",
    )
    provider_id: str = option(
        "",
        "id of the node at its cloud; empty means its name where the cloud is external",
        "KUBELET_PROVIDER_ID",
        variable_since="1.16",
    )
    pod_manifest_path: str = option(
        "", "folder of static pods; empty means the instance's own", "POD_MANIFEST_PATH"
    )
    eviction_soft: str = option("", "soft eviction thresholds", "EVICTION_SOFT")
    eviction_soft_grace_period: str = option(
        "90s", "how long a soft threshold is met before pods are evicted; there has to be one"
    )
    authentication_webhook: bool = option(
        True, "ask kube-apiserver who a caller is", "KUBELET_AUTHENTICATION_WEBHOOK"
    )
    authorization_webhook: bool = option(
        True, "ask kube-apiserver what a caller may do", "KUBELET_AUTHORIZATION_WEBHOOK"
    )
    client_ca_file: str = option(
        "", "CA of the kubelet's clients; empty means the cluster's client CA", "CLIENT_CA_FILE"
    )
    chaos_chance: float = option(0.0, "chance of an artificial error", "CHAOS_CHANCE", until="1.21")
    dockerize: bool = option(
        False,
        "run the kubelet that is built here in a container of Docker",
        "DOCKERIZE_KUBELET",
        until="1.13",
    )
    image: str = option(
        "",
        "image with the programs that a kubelet in a container needs; empty means hyperkube's",
        "KUBELET_IMAGE",
        until="1.13",
        variable_since="1.11",
    )
    keep_terminated_pod_volumes: bool = option(
        True,
        "keep volumes of ended pods mounted, for debugging",
        "KEEP_TERMINATED_POD_VOLUMES",
        until="1.11",
    )
