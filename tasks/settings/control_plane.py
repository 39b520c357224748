"""Settings of kube-apiserver, etcd, the controller managers and kube-scheduler.

Source of `variable_since` and `variable_until`: hack/local-up-cluster.sh of 1.10 to 1.15, 1.19,
1.20, 1.23 to 1.25, 1.28 and 1.35. For a minor between them, a variable is accepted if one of the
two neighbours reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import Flags, Items, Pairs, UserPath, option

EtcdLevel = Literal["debug", "info", "warn", "error", "panic", "fatal"]


@dataclass(frozen=True)
class Api:
    """kube-apiserver."""

    secure_port: int = option(6443, "https port", "API_SECURE_PORT")
    port: int = option(0, "insecure http port; 0 for none", "API_PORT", until="1.19")
    host: str = option("localhost", "host name in the kubeconfigs", "API_HOST")
    host_ip: str = option("127.0.0.1", "address that clients connect to", "API_HOST_IP")
    bind_address: str = option("127.0.0.1", "address of the https port", "API_BIND_ADDR")
    advertise_address: str = option(
        "", "address that kube-apiserver publishes in the cluster", "ADVERTISE_ADDRESS"
    )
    external_hostname: str = option("localhost", "host name in external URLs", "EXTERNAL_HOSTNAME")
    cors_allowed_origins: Items = option(
        "//127.0.0.1(:[0-9]+)?$,//localhost(:[0-9]+)?$",
        "regular expressions of web origins (CORS) that may call the API",
        "API_CORS_ALLOWED_ORIGINS",
    )
    authorization_mode: Items = option("Node,RBAC", "authorizers, in order", "AUTHORIZATION_MODE")
    authorization_config: UserPath = option(
        "",
        "authorization configuration file; replaces authorization_mode",
        "AUTHORIZATION_CONFIG",
        since="1.29",
    )
    authorization_webhook_config_file: UserPath = option(
        "",
        "kubeconfig of the authorization webhook, for the mode Webhook",
        "AUTHORIZATION_WEBHOOK_CONFIG_FILE",
        variable_since="1.16",
    )
    authentication_webhook_config_file: UserPath = option(
        "",
        "kubeconfig of the token authentication webhook",
        "AUTHENTICATION_WEBHOOK_CONFIG_FILE",
        variable_since="1.16",
    )
    runtime_config: Pairs = option("", "API versions to enable or disable", "RUNTIME_CONFIG")
    enable_admission_plugins: Items = option(
        "", "admission plugins to add to the default list", "ENABLE_ADMISSION_PLUGINS"
    )
    disable_admission_plugins: Items = option(
        "", "admission plugins to disable", "DISABLE_ADMISSION_PLUGINS"
    )
    admission_control_config_file: UserPath = option(
        "", "admission configuration file", "ADMISSION_CONTROL_CONFIG_FILE"
    )
    deny_security_context_admission: bool = option(
        False,
        "add the admission plugin SecurityContextDeny",
        "DENY_SECURITY_CONTEXT_ADMISSION",
        until="1.29",
    )
    psp_admission: bool = option(
        False, "add the admission plugin PodSecurityPolicy", "PSP_ADMISSION", until="1.24"
    )
    node_admission: bool = option(
        False,
        "add the admission plugin NodeRestriction; on by default from 1.24",
        "NODE_ADMISSION",
        until="1.23",
    )
    pod_priority_preemption: bool = option(
        False,
        "add the admission plugin Priority, and its feature gate if it needs one",
        "ENABLE_POD_PRIORITY_PREEMPTION",
        until="1.15",
    )
    swagger_ui: bool = option(False, "serve the Swagger UI", "ENABLE_SWAGGER_UI", until="1.13")
    basic_audit: bool = option(
        False,
        "write an audit log next to the other logs",
        "ENABLE_APISERVER_BASIC_AUDIT",
        until="1.11",
    )
    audit_policy_file: UserPath = option(
        "",
        "audit policy file; if set, an audit log is written next to the other logs",
        "AUDIT_POLICY_FILE",
        variable_since="1.14",
    )
    egress_selector_config_file: UserPath = option(
        "",
        "configuration file of connections to nodes, etcd and control plane; empty means direct",
        "EGRESS_SELECTOR_CONFIG_FILE",
        since="1.16",
        variable_since="1.21",
    )
    allow_privileged: bool = option(True, "allow privileged pods", "ALLOW_PRIVILEGED")
    service_cluster_ip_range: Items = option(
        "10.0.0.0/24", "IP address range of services", "SERVICE_CLUSTER_IP_RANGE"
    )
    first_service_cluster_ip: str = option(
        "10.0.0.1", "address of the service `kubernetes`", "FIRST_SERVICE_CLUSTER_IP"
    )
    node_port_range: str = option(
        "",
        "port range of NodePort services; empty means 30000-32767",
        "NODE_PORT_RANGE",
        variable_since="1.11",
    )
    storage_media_type: str = option(
        "application/vnd.kubernetes.protobuf",
        "media type of objects in etcd",
        "STORAGE_MEDIA_TYPE",
        variable_since="1.14",
    )
    storage_backend: str = option("etcd3", "storage backend", "STORAGE_BACKEND")
    service_account_lookup: bool = option(
        True, "check that the service account of a token still exists", "SERVICE_ACCOUNT_LOOKUP"
    )
    wait: int = option(
        60, "seconds to wait until kube-apiserver is ready", "WAIT_FOR_URL_API_SERVER"
    )
    probe_timeout: int = option(
        2,
        "timeout in seconds of one readiness request to kube-apiserver",
        "MAX_TIME_FOR_URL_API_SERVER",
        variable_since="1.11",
    )


@dataclass(frozen=True)
class Etcd:
    """etcd."""

    host: str = option("127.0.0.1", "address on which etcd listens", "ETCD_HOST")
    port: int = option(2379, "client port", "ETCD_PORT")
    dir: UserPath = option("", "data folder; empty means in the instance's folder", "ETCD_DIR")
    preserve: bool = option(
        True,
        "keep the cluster's objects after `doit down`",
        "PRESERVE_ETCD",
        variable_since="1.11",
    )
    version: str = option(
        "", "etcd release; empty means the one that the tree requires", "ETCD_VERSION"
    )
    log_level: EtcdLevel = option("warn", "log level", "ETCD_LOGLEVEL")


@dataclass(frozen=True)
class ControllerManager:
    """kube-controller-manager."""

    secure_port: int = option(10257, "https port", "KCM_SECURE_PORT", variable_since="1.29")
    port: int = option(10252, "http port of releases without an https port", until="1.11")
    controllers: Items = option(
        "*", "controllers to run; * means all default ones", "KUBE_CONTROLLERS"
    )
    claim_binder_sync_period: str = option(
        "15s", "period for matching volumes and claims", "CLAIM_BINDER_SYNC_PERIOD"
    )
    enable_hostpath_provisioner: bool = option(
        False, "create volumes in host folders", "ENABLE_HOSTPATH_PROVISIONER"
    )
    cluster_signing_cert_file: UserPath = option(
        "",
        "CA certificate that signs certificate requests; empty means the client CA",
        "CLUSTER_SIGNING_CERT_FILE",
    )
    cluster_signing_key_file: UserPath = option(
        "", "key of cluster_signing_cert_file", "CLUSTER_SIGNING_KEY_FILE"
    )
    cluster_cidr: Items = option(
        "10.1.0.0/16", "IP address range of pods", "CLUSTER_CIDR", variable_since="1.16"
    )
    external_cloud_volume_plugin: str = option(
        "",
        "in-tree cloud provider for volumes, with an external cloud provider",
        "EXTERNAL_CLOUD_VOLUME_PLUGIN",
        variable_since="1.16",
    )


@dataclass(frozen=True)
class CloudControllerManager:
    """cloud-controller-manager, which runs when EXTERNAL_CLOUD_PROVIDER is true."""

    binary: UserPath = option(
        "", "program to run instead of the tree's", "EXTERNAL_CLOUD_PROVIDER_BINARY"
    )
    flags: Flags = option(
        "", "more flags, with shell quoting", "CLOUD_CTLRMGR_FLAGS", variable_since="1.24"
    )
    configure_cloud_routes: bool = option(
        True,
        "create routes between nodes in the cloud",
        "CONFIGURE_CLOUD_ROUTES",
        variable_since="1.21",
    )
    secure_port: int = option(10258, "https port")
    port: int = option(10253, "http port of releases without an https port", until="1.11")


@dataclass(frozen=True)
class Scheduler:
    """kube-scheduler."""

    secure_port: int = option(10259, "https port", "SCHEDULER_SECURE_PORT", variable_since="1.29")
    port: int = option(10251, "http port of releases without an https port", until="1.12")
