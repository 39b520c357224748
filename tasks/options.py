"""The declarative table of every setting: key, environment name, type, default, meaning.

A group is a frozen dataclass and a setting is one of its fields, so the table is typed. It drives
parsing, validation and the documentation. The key of a setting is `group.field`; settings that
hack/local-up-cluster.sh knows keep upstream's environment name, the others are
STEPKUBE_GROUP_FIELD.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Order = Literal["auto", "path", "git", "apt"]
StartMode = Literal["all", "kubeletonly", "nokubelet", "nokubeproxy", "nokubelet,nokubeproxy"]


def option(default: Any, doc: str, env: str = "", since: str = "", until: str = "") -> Any:
    """Declare one setting.

    `env` is the environment variable's name when it is not STEPKUBE_GROUP_FIELD; `since` and
    `until` are the first and last Kubernetes minor that know it (empty: all).
    """
    metadata = {"doc": doc, "env": env, "since": since, "until": until}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Origin:
    """Where the Kubernetes source comes from."""

    order: Order = option("auto", "which origin to use; auto tries path, then git, then apt")
    path: str = option("", "a worktree you already have; it is used in place")
    git: tuple[str, ...] = option(
        ("https://github.com/kubernetes/kubernetes.git",),
        "git URLs or local repositories, tried in order",
    )
    apt: str = option("kubernetes", "name of the distribution's source package; empty for none")
    timeout: float = option(5.0, "seconds to wait for a git origin to answer before the next one")


@dataclass(frozen=True)
class Mirror:
    """Where downloads come from; every one of them is verified, whatever the mirror."""

    goproxy: str = option("https://proxy.golang.org,direct", "Go module proxies", "GOPROXY")
    gosumdb: str = option("sum.golang.org", "Go checksum database; off only if you must", "GOSUMDB")
    go: tuple[str, ...] = option(
        ("https://go.dev/dl",), "folders that hold Go release archives, tried in order"
    )
    apt: str = option("", "Debian archive; empty means the one the system uses")
    apt_archive: tuple[str, ...] = option(
        ("bullseye", "bookworm"), "further Debian suites to look for older Go releases in"
    )
    rpm: str = option("", "host that stands in for the RPM distribution's, for host:mirror")
    epel: str = option("", "host that stands in for EPEL's, for host:mirror")
    ca_bundle: str = option("", "file with extra certificate authorities", "SSL_CERT_FILE")
    timeout: float = option(30.0, "seconds without a byte before a download counts as stuck")


@dataclass(frozen=True)
class Build:
    """How the modules are compiled."""

    jobs: int = option(0, "parallel compilations; 0 takes cores and memory into account")
    version_stamp: str = option("", "version to stamp when the tree does not tell its own")
    version_file: str = option(
        "", "file of KUBE_GIT_...='...' lines to stamp as they stand", "KUBE_GIT_VERSION_FILE"
    )
    keep: int = option(20, "gigabytes of built binaries to keep before the oldest go")


@dataclass(frozen=True)
class Api:
    """kube-apiserver."""

    secure_port: int = option(6443, "https port", "API_SECURE_PORT")
    port: int = option(0, "insecure http port, 0 for none", "API_PORT", until="1.19")
    host: str = option("localhost", "name the kubeconfigs use", "API_HOST")
    host_ip: str = option("127.0.0.1", "address the API is reached at", "API_HOST_IP")
    bind_address: str = option("127.0.0.1", "address the https port listens on", "API_BIND_ADDR")
    advertise_address: str = option("", "address given to the cluster", "ADVERTISE_ADDRESS")
    external_hostname: str = option("localhost", "name for external URLs", "EXTERNAL_HOSTNAME")
    cors_allowed_origins: str = option(
        "//127.0.0.1(:[0-9]+)?$,//localhost(:[0-9]+)?$",
        "regular expressions of origins that browsers may call from",
        "API_CORS_ALLOWED_ORIGINS",
    )
    authorization_mode: str = option("Node,RBAC", "authorizers, in order", "AUTHORIZATION_MODE")
    runtime_config: str = option("", "API groups to switch on or off", "RUNTIME_CONFIG")
    enable_admission_plugins: str = option(
        "", "admission plugins to add to the default list", "ENABLE_ADMISSION_PLUGINS"
    )
    disable_admission_plugins: str = option(
        "", "admission plugins to leave out", "DISABLE_ADMISSION_PLUGINS"
    )
    admission_control_config_file: str = option(
        "", "admission configuration file", "ADMISSION_CONTROL_CONFIG_FILE"
    )
    deny_security_context_admission: bool = option(
        False, "add the admission plugin SecurityContextDeny",
        "DENY_SECURITY_CONTEXT_ADMISSION", until="1.29",
    )
    psp_admission: bool = option(
        False, "add the admission plugin PodSecurityPolicy", "PSP_ADMISSION", until="1.24"
    )
    node_admission: bool = option(
        False, "add the admission plugin NodeRestriction; a default from 1.24",
        "NODE_ADMISSION", until="1.23",
    )
    pod_priority_preemption: bool = option(
        False, "add the admission plugin Priority, and its feature gate where it needs one",
        "ENABLE_POD_PRIORITY_PREEMPTION", until="1.15",
    )
    swagger_ui: bool = option(False, "serve the Swagger UI", "ENABLE_SWAGGER_UI", until="1.13")
    basic_audit: bool = option(
        False, "write an audit log beside the other logs", "ENABLE_APISERVER_BASIC_AUDIT",
        until="1.11",
    )
    allow_privileged: bool = option(True, "allow privileged pods", "ALLOW_PRIVILEGED")
    service_cluster_ip_range: str = option(
        "10.0.0.0/24", "range of service addresses", "SERVICE_CLUSTER_IP_RANGE"
    )
    first_service_cluster_ip: str = option(
        "10.0.0.1", "address of the service kubernetes", "FIRST_SERVICE_CLUSTER_IP"
    )
    storage_backend: str = option("etcd3", "storage backend", "STORAGE_BACKEND")
    service_account_lookup: bool = option(
        True, "check that a token's service account still exists", "SERVICE_ACCOUNT_LOOKUP"
    )
    wait: int = option(
        60, "seconds to wait for kube-apiserver to become ready", "WAIT_FOR_URL_API_SERVER"
    )


@dataclass(frozen=True)
class Etcd:
    """etcd."""

    host: str = option("127.0.0.1", "address etcd listens on", "ETCD_HOST")
    port: int = option(2379, "port etcd listens on", "ETCD_PORT")
    dir: str = option("", "data folder; empty means the instance's own", "ETCD_DIR")
    preserve: bool = option(True, "keep the cluster's objects over `doit down`", "PRESERVE_ETCD")
    version: str = option("", "etcd release; empty means what the tree asks for", "ETCD_VERSION")
    log_level: str = option("warn", "etcd's log level", "ETCD_LOGLEVEL")


@dataclass(frozen=True)
class ControllerManager:
    """kube-controller-manager."""

    secure_port: int = option(10257, "https port", "KCM_SECURE_PORT")
    port: int = option(10252, "http port of releases that have no other", until="1.11")
    controllers: str = option("*", "controllers to run", "KUBE_CONTROLLERS")
    claim_binder_sync_period: str = option(
        "15s", "how often volumes and claims are matched", "CLAIM_BINDER_SYNC_PERIOD"
    )
    enable_hostpath_provisioner: bool = option(
        False, "provision volumes from host folders", "ENABLE_HOSTPATH_PROVISIONER"
    )
    cluster_signing_cert_file: str = option(
        "", "CA that signs certificate requests", "CLUSTER_SIGNING_CERT_FILE"
    )
    cluster_signing_key_file: str = option("", "its key", "CLUSTER_SIGNING_KEY_FILE")
    cluster_cidr: str = option("10.1.0.0/16", "range of pod addresses", "CLUSTER_CIDR")


@dataclass(frozen=True)
class Scheduler:
    """kube-scheduler."""

    secure_port: int = option(10259, "https port", "SCHEDULER_SECURE_PORT")
    port: int = option(10251, "http port of releases that have no other", until="1.12")


@dataclass(frozen=True)
class Kubelet:
    """kubelet."""

    host: str = option("127.0.0.1", "address the kubelet listens on", "KUBELET_HOST")
    port: int = option(10250, "https port", "KUBELET_PORT")
    healthz_port: int = option(10248, "port of /healthz", "KUBELET_HEALTHZ_PORT")
    flags: str = option("", "more flags, parsed like a shell does", "KUBELET_FLAGS")
    hostname_override: str = option("127.0.0.1", "name of the node", "HOSTNAME_OVERRIDE")
    fail_swap_on: bool = option(False, "refuse to start on a host with swap", "FAIL_SWAP_ON")
    cgroups_per_qos: bool = option(True, "one cgroup per QoS class", "CGROUPS_PER_QOS")
    cgroup_driver: str = option("", "cgroupfs or systemd; empty means cgroupfs", "CGROUP_DRIVER")
    cpu_cfs_quota: bool = option(True, "enforce CPU limits", "CPU_CFS_QUOTA")
    enable_controller_attach_detach: bool = option(
        True, "let the controller manager attach volumes", "ENABLE_CONTROLLER_ATTACH_DETACH"
    )
    eviction_hard: str = option(
        "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%",
        "hard eviction thresholds",
        "EVICTION_HARD",
    )
    eviction_pressure_transition_period: str = option(
        "1m",
        "time before a node leaves a pressure condition",
        "EVICTION_PRESSURE_TRANSITION_PERIOD",
    )
    pod_manifest_path: str = option(
        "", "folder of static pods; empty means the instance's own", "POD_MANIFEST_PATH"
    )
    eviction_soft: str = option("", "soft eviction thresholds", "EVICTION_SOFT")
    authentication_webhook: bool = option(
        True, "ask kube-apiserver who a caller is", "KUBELET_AUTHENTICATION_WEBHOOK"
    )
    authorization_webhook: bool = option(
        True, "ask kube-apiserver what a caller may do", "KUBELET_AUTHORIZATION_WEBHOOK"
    )
    client_ca_file: str = option(
        "", "CA of the kubelet's clients; empty means the cluster's client CA", "CLIENT_CA_FILE"
    )
    chaos_chance: float = option(
        0.0, "chance of an artificial error", "CHAOS_CHANCE", until="1.21"
    )
    keep_terminated_pod_volumes: bool = option(
        True, "keep volumes of ended pods mounted, for debugging",
        "KEEP_TERMINATED_POD_VOLUMES", until="1.11",
    )


@dataclass(frozen=True)
class Proxy:
    """kube-proxy."""

    mode: str = option("", "iptables, nftables or ipvs; empty means iptables", "KUBE_PROXY_MODE")
    healthz_port: int = option(10256, "port of /healthz", "PROXY_HEALTHZ_PORT")
    metrics_port: int = option(10249, "port of /metrics", "PROXY_METRICS_PORT")


@dataclass(frozen=True)
class Dns:
    """Cluster DNS, as pods see it."""

    server_ip: str = option("10.0.0.10", "address of the DNS service", "KUBE_DNS_SERVER_IP")
    domain: str = option("cluster.local", "domain of the cluster", "KUBE_DNS_NAME")


@dataclass(frozen=True)
class Node:
    """The node: container runtime and where it runs."""

    sandbox: bool = option(
        True, "run containerd, kubelet and kube-proxy in namespaces of their own"
    )
    container_runtime_endpoint: str = option(
        "", "socket of a running CRI runtime; empty starts a private one",
        "CONTAINER_RUNTIME_ENDPOINT",
    )
    image_service_endpoint: str = option(
        "", "socket of an image service; empty means the runtime's", "IMAGE_SERVICE_ENDPOINT"
    )
    address: str = option("10.99.0.1", "address of the node inside its sandbox")


@dataclass(frozen=True)
class Start:
    """What runs, and how."""

    mode: StartMode = option("all", "which components to run", "START_MODE")
    feature_gates: str = option(
        "AllAlpha=false", "feature gates of all components", "FEATURE_GATES"
    )
    cloud_provider: str = option("", "name of an in-tree cloud provider", "CLOUD_PROVIDER")
    cloud_config: str = option("", "configuration file of the cloud provider", "CLOUD_CONFIG")
    external_cloud_provider: bool = option(
        False, "a cloud controller manager of your own takes care", "EXTERNAL_CLOUD_PROVIDER"
    )
    cache_mutation_detector: bool = option(
        False, "panic when a cached object is changed in place", "KUBE_CACHE_MUTATION_DETECTOR"
    )
    panic_watch_decode_error: bool = option(
        True, "panic when a watch event cannot be decoded", "KUBE_PANIC_WATCH_DECODE_ERROR"
    )


@dataclass(frozen=True)
class Certs:
    """Certificates and keys."""

    dir: str = option("", "folder of the certificates; empty means the instance's own", "CERT_DIR")
    single_ca: bool = option(
        False, "one CA signs servers and clients", "ENABLE_SINGLE_CA_SIGNER"
    )
    service_account_key: str = option(
        "", "key that signs service account tokens; empty makes one", "SERVICE_ACCOUNT_KEY"
    )


@dataclass(frozen=True)
class Logs:
    """Logs of the components."""

    level: int = option(3, "verbosity of the components", "LOG_LEVEL")
    spec: str = option("", "verbosity per file, such as token_controller*=5", "LOG_SPEC")
    dir: str = option("", "folder of the logs; empty means the instance's own", "LOG_DIR")


@dataclass(frozen=True)
class Debug:
    """The debug swap."""

    base_port: int = option(39990, "first Delve port; kube-apiserver has base + 9")
    pause_tolerant: bool = option(
        True, "start the cluster so that hours at a breakpoint kill and evict nothing"
    )
    lift_write_deadline: bool = option(
        True, "build kube-apiserver without its fixed 34 s limit for writes"
    )


GROUPS: dict[str, type] = {
    "origin": Origin,
    "mirror": Mirror,
    "build": Build,
    "api": Api,
    "etcd": Etcd,
    "controller_manager": ControllerManager,
    "scheduler": Scheduler,
    "kubelet": Kubelet,
    "proxy": Proxy,
    "dns": Dns,
    "node": Node,
    "start": Start,
    "certs": Certs,
    "logs": Logs,
    "debug": Debug,
}
