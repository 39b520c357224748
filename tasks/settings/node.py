"""The node: kubelet, kube-proxy, the container runtime and its network, DNS as pods see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import option

Runtime = Literal["remote", "docker", "rkt"]
NetPlugin = Literal["", "cni", "kubenet"]
CgroupDriver = Literal["", "cgroupfs", "systemd"]
CpuPolicy = Literal["", "none", "static"]
DnsAddon = Literal["", "coredns", "kube-dns"]
ProxyMode = Literal["", "iptables", "ipvs", "nftables", "userspace"]
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


@dataclass(frozen=True)
class Proxy:
    """kube-proxy."""

    mode: ProxyMode = option(
        "",
        "how services are reached; empty means iptables, and so does ipvs without IPVS",
        "KUBE_PROXY_MODE",
    )
    healthz_port: int = option(
        10256, "port of /healthz", "PROXY_HEALTHZ_PORT", variable_since="1.29"
    )
    metrics_port: int = option(
        10249, "port of /metrics", "PROXY_METRICS_PORT", variable_since="1.29"
    )


@dataclass(frozen=True)
class Dns:
    """Cluster DNS: what serves it, and what pods see of it."""

    enabled: bool = option(True, "run cluster DNS", "KUBE_ENABLE_CLUSTER_DNS")
    addon: DnsAddon = option(
        "",
        "what serves it; empty means kube-dns up to 1.20, coredns later",
        "DNS_ADDON",
        variable_since="1.21",
    )
    memory_limit: str = option(
        "170Mi", "memory limit of the DNS server", "KUBE_DNS_MEMORY_LIMIT", since="1.15"
    )
    nodelocal: bool = option(
        False,
        "run a DNS cache on the node, which pods ask",
        "KUBE_ENABLE_NODELOCAL_DNS",
        since="1.13",
    )
    local_ip: str = option(
        "169.254.20.10", "address of the node's DNS cache", "KUBE_LOCAL_DNS_IP", since="1.13"
    )
    server_ip: str = option("10.0.0.10", "address of the DNS service", "KUBE_DNS_SERVER_IP")
    domain: str = option("cluster.local", "domain of the cluster", "KUBE_DNS_NAME")


@dataclass(frozen=True)
class Node:
    """The node: container runtime and where it runs."""

    sandbox: bool = option(
        True, "run containerd, kubelet and kube-proxy in namespaces of their own"
    )
    container_runtime: Runtime = option(
        "remote",
        "remote means any CRI runtime; docker works up to 1.23, rkt up to 1.10",
        "CONTAINER_RUNTIME",
        until="1.26",
    )
    container_runtime_endpoint: str = option(
        "",
        "socket of a running CRI runtime; empty starts a private one",
        "CONTAINER_RUNTIME_ENDPOINT",
    )
    image_service_endpoint: str = option(
        "", "socket of an image service; empty means the runtime's", "IMAGE_SERVICE_ENDPOINT"
    )
    docker_opts: str = option(
        "",
        "how to reach Docker, such as --host=unix:///var/run/docker.sock",
        "DOCKER_OPTS",
        until="1.23",
    )
    docker_root: str = option(
        "",
        "folder of Docker's state; empty means Docker's own",
        "DOCKER_ROOT",
        until="1.23",
        variable_since="1.11",
    )
    rkt_path: str = option(
        "", "rkt's program; empty means the one on PATH", "RKT_PATH", until="1.10"
    )
    rkt_stage1_image: str = option(
        "", "rkt's stage 1 image; empty means rkt's own", "RKT_STAGE1_IMAGE", until="1.10"
    )
    net_plugin: NetPlugin = option(
        "",
        "network of pods; kubenet needs Docker, any other runtime does cni by itself",
        "NET_PLUGIN",
        until="1.23",
    )
    cni_config_dir: str = option(
        "",
        "folder of your own CNI networks; empty means one with a bridge",
        "CNI_CONFIG_DIR",
        variable_since="1.24",
        renamed="CNI_CONF_DIR",
    )
    cni_conf_dir: str = option(
        "",
        "the same, by its older name",
        "CNI_CONF_DIR",
        variable_until="1.23",
        renamed="CNI_CONFIG_DIR",
    )
    cni_bin_dir: str = option(
        "",
        "folder of CNI plugins; empty means installed ones, else they are built",
        "CNI_BIN_DIR",
        variable_until="1.23",
    )
    cni_plugins_version: str = option(
        "",
        "release of the CNI plugins to build; empty means any",
        "CNI_PLUGINS_VERSION",
        variable_since="1.24",
    )
    cni_targetarch: str = option(
        "",
        "architecture of the CNI plugins; only this machine's works",
        "CNI_TARGETARCH",
        variable_since="1.24",
    )
    cni_plugins_amd64_sha256sum: str = option(
        "",
        "digest of the release archive, which is then taken in place of a build",
        "CNI_PLUGINS_AMD64_SHA256SUM",
        variable_since="1.24",
        variable_until="1.34",
    )
    cni_plugins_arm64_sha256sum: str = option(
        "",
        "the same for arm64",
        "CNI_PLUGINS_ARM64_SHA256SUM",
        variable_since="1.24",
        variable_until="1.34",
    )
    cni_plugins_ppc64le_sha256sum: str = option(
        "",
        "the same for ppc64le",
        "CNI_PLUGINS_PPC64LE_SHA256SUM",
        variable_since="1.24",
        variable_until="1.34",
    )
    cni_plugins_s390x_sha256sum: str = option(
        "",
        "the same for s390x",
        "CNI_PLUGINS_S390X_SHA256SUM",
        variable_since="1.24",
        variable_until="1.34",
    )
    address: str = option("10.99.0.1", "address of the node inside its sandbox")
    pull: bool = option(True, "let the sandbox's containerd pull images over the host's network")
    forward: tuple[str, ...] = option(
        (), "ports of the sandbox that the host's loopback leads to: 30080, or 8080:30080"
    )
    pause_image: str = option(
        "", "image that holds a pod's namespaces; empty builds one from the tree"
    )
