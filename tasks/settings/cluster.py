"""Settings of the cluster as a whole: what runs, addons, certificates, logs, debugging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import option

LeaderElect = Literal["auto", "true", "false"]
StartWord = Literal["all", "kubeletonly", "nokubelet", "nokubeproxy"]


@dataclass(frozen=True)
class Start:
    """What runs, and how."""

    mode: tuple[StartWord, ...] = option(
        ("all",), "which components to run; several words may stand together", "START_MODE"
    )
    daemon: bool = option(
        True,
        "return with the cluster running; false stays and ends it with Ctrl-C (upstream's default)",
        "ENABLE_DAEMON",
    )
    feature_gates: str = option(
        "AllAlpha=false", "feature gates of all components", "FEATURE_GATES"
    )
    emulated_version: str = option(
        "",
        "older minor that the control plane is to behave like, such as 1.34",
        "EMULATED_VERSION",
        since="1.31",
    )
    leader_elect: LeaderElect = option(
        "auto",
        "elect leaders; auto: not where pauses are tolerated, else as the components"
        " like. With true, a component that is held for longer than its lease (15 s) ends",
        "LEADER_ELECT",
        variable_since="1.29",
    )
    kubectl: str = option(
        "", "kubectl to use in place of the one that is built", "KUBECTL", variable_until="1.34"
    )
    config_dir: str = option(
        "",
        "folder below which configuration files are written; empty means the instance's own",
        "TMP_DIR",
        variable_since="1.26",
        ambient=True,
    )
    kubetest_in_docker: bool = option(
        False,
        "refused: prepares a test container, and nothing here needs that",
        "KUBETEST_IN_DOCKER",
    )
    cloud_provider: str = option("", "name of an in-tree cloud provider", "CLOUD_PROVIDER")
    cloud_config: str = option("", "configuration file of the cloud provider", "CLOUD_CONFIG")
    external_cloud_provider: bool = option(
        False, "run cloud-controller-manager, and leave the cloud to it", "EXTERNAL_CLOUD_PROVIDER"
    )
    cache_mutation_detector: bool = option(
        False, "panic when a cached object is changed in place", "KUBE_CACHE_MUTATION_DETECTOR"
    )
    panic_watch_decode_error: bool = option(
        True, "panic when a watch event cannot be decoded", "KUBE_PANIC_WATCH_DECODE_ERROR"
    )

    @property
    def control_plane(self) -> bool:
        """Tell whether etcd and the control plane belong to what runs."""
        return "kubeletonly" not in self.mode

    @property
    def kubelet(self) -> bool:
        """Tell whether a kubelet belongs to what runs."""
        return "nokubelet" not in self.mode

    @property
    def proxy(self) -> bool:
        """Tell whether kube-proxy belongs to what runs."""
        return self.control_plane and "nokubeproxy" not in self.mode

    def contradiction(self) -> str:
        """Return why the words of the mode cannot stand together; empty when they can."""
        if not self.control_plane and "nokubelet" in self.mode:
            return "nothing would run"
        if not self.control_plane and "all" in self.mode:
            return "all is more than the kubelet"
        return ""


@dataclass(frozen=True)
class Addons:
    """What is applied to the cluster once it runs, besides DNS."""

    default_storage_class: bool = option(
        True, "make a default storage class", "KUBE_DEFAULT_STORAGE_CLASS"
    )
    dashboard: bool = option(
        False, "apply the dashboard", "KUBE_ENABLE_CLUSTER_DASHBOARD", until="1.23"
    )
    csi_snapshotter: bool = option(
        False, "apply the CSI volume snapshot controller", "ENABLE_CSI_SNAPSHOTTER", since="1.16"
    )


@dataclass(frozen=True)
class Certs:
    """Certificates and keys."""

    dir: str = option("", "folder of the certificates; empty means the instance's own", "CERT_DIR")
    single_ca: bool = option(False, "one CA signs servers and clients", "ENABLE_SINGLE_CA_SIGNER")
    reuse: bool = option(
        True,
        "keep certificates that are as wanted; false makes new ones at every `doit up`",
        "REUSE_CERTS",
        variable_since="1.13",
    )
    owner: str = option(
        "",
        "user who gets the administrator's credentials when root makes them; empty means root",
        "USER",
        ambient=True,
    )
    kubeconfig_token: str = option(
        "",
        "token that the administrator's kubeconfig logs in with; empty means a certificate",
        "KUBECONFIG_TOKEN",
        secret=True,
    )
    auth_args: str = option(
        "",
        "credentials, as `kubectl config set-credentials` takes them, of one more kubeconfig",
        "AUTH_ARGS",
        secret=True,
    )
    service_account_key: str = option(
        "", "key that signs service account tokens; empty makes one", "SERVICE_ACCOUNT_KEY"
    )


@dataclass(frozen=True)
class Logs:
    """Logs of the components."""

    level: int = option(3, "verbosity of the components", "LOG_LEVEL")
    spec: str = option("", "verbosity per file, such as token_controller*=5", "LOG_SPEC")
    verbose: int = option(
        1,
        "from 2 on, the tool prints every command it runs; from 5 on, tracebacks too",
        "KUBE_VERBOSE",
    )
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
