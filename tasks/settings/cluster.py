"""Settings of the cluster: components to run, addons, certificates, logs, debugging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import Command, Flags, Pairs, UserPath, option

LeaderElect = Literal["auto", "true", "false"]
StartWord = Literal["all", "kubeletonly", "nokubelet", "nokubeproxy"]


@dataclass(frozen=True)
class Start:
    """Which components run, and options of all of them."""

    mode: tuple[StartWord, ...] = option(
        ("all",), "components to run; several words can be combined", "START_MODE"
    )
    daemon: bool = option(
        True,
        "exit while the cluster runs; false waits, and Ctrl-C stops the cluster (upstream's"
        " default)",
        "ENABLE_DAEMON",
    )
    feature_gates: Pairs = option(
        "AllAlpha=false", "feature gates of all components", "FEATURE_GATES"
    )
    emulated_version: Pairs = option(
        "",
        "older minor that the control plane emulates, such as 1.34",
        "EMULATED_VERSION",
        since="1.31",
    )
    leader_elect: LeaderElect = option(
        "auto",
        "elect leaders; auto means false with debug.pause_tolerant, else the default of the"
        " components. With true, a component that is paused for longer than its lease (15 s)"
        " exits",
        "LEADER_ELECT",
        variable_since="1.29",
    )
    kubectl: Command = option(
        "", "kubectl to use instead of a built one", "KUBECTL", variable_until="1.34"
    )
    config_dir: UserPath = option(
        "",
        "folder in which each instance makes a folder for configuration files; empty means the"
        " instance's folder",
        "TMP_DIR",
        variable_since="1.26",
        ambient=True,
    )
    kubetest_in_docker: bool = option(
        False,
        "prepare a test container; always refused, because stepkube does not need it",
        "KUBETEST_IN_DOCKER",
    )
    cloud_provider: str = option("", "name of an in-tree cloud provider", "CLOUD_PROVIDER")
    cloud_config: UserPath = option("", "configuration file of the cloud provider", "CLOUD_CONFIG")
    external_cloud_provider: bool = option(
        False,
        "run cloud-controller-manager and let it manage the cloud",
        "EXTERNAL_CLOUD_PROVIDER",
    )
    cache_mutation_detector: bool = option(
        False, "panic when code modifies a cached object", "KUBE_CACHE_MUTATION_DETECTOR"
    )
    panic_watch_decode_error: bool = option(
        True, "panic when a watch event cannot be decoded", "KUBE_PANIC_WATCH_DECODE_ERROR"
    )

    @property
    def control_plane(self) -> bool:
        """Return whether etcd and the control plane run."""
        return "kubeletonly" not in self.mode

    @property
    def kubelet(self) -> bool:
        """Return whether the kubelet runs."""
        return "nokubelet" not in self.mode

    @property
    def proxy(self) -> bool:
        """Return whether kube-proxy runs."""
        return self.control_plane and "nokubeproxy" not in self.mode

    def mode_error(self) -> str:
        """Return why the words of the mode cannot be combined; empty if they can."""
        if not self.control_plane and "nokubelet" in self.mode:
            return "no component would run"
        if not self.control_plane and "all" in self.mode:
            return "all means more components than kubeletonly"
        return ""


@dataclass(frozen=True)
class Addons:
    """Addons that are applied to the running cluster, except DNS."""

    default_storage_class: bool = option(
        True, "apply a default storage class", "KUBE_DEFAULT_STORAGE_CLASS"
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

    dir: UserPath = option(
        "", "folder of the certificates; empty means in the instance's folder", "CERT_DIR"
    )
    single_ca: bool = option(
        False, "use one CA for certificates of servers and clients", "ENABLE_SINGLE_CA_SIGNER"
    )
    reuse: bool = option(
        True,
        "keep certificates that match the settings; false makes new ones at every `doit up`",
        "REUSE_CERTS",
        variable_since="1.13",
    )
    owner: str = option(
        "",
        "user who owns the administrator's credentials if root makes them; empty means root",
        "USER",
        ambient=True,
    )
    kubeconfig_token: str = option(
        "",
        "token in the administrator's kubeconfig; empty means a certificate",
        "KUBECONFIG_TOKEN",
        secret=True,
    )
    auth_args: Flags = option(
        "",
        "options of `kubectl config set-credentials`, for an additional kubeconfig",
        "AUTH_ARGS",
        secret=True,
    )
    service_account_key: UserPath = option(
        "", "key that signs service account tokens; empty makes one", "SERVICE_ACCOUNT_KEY"
    )


@dataclass(frozen=True)
class Logs:
    """Logs of the components."""

    level: int = option(3, "verbosity of the components", "LOG_LEVEL")
    spec: Pairs = option("", "verbosity per file, such as token_controller*=5", "LOG_SPEC")
    verbose: int = option(
        1,
        "from 2 on, stepkube prints every command it runs; from 5 on, tracebacks too",
        "KUBE_VERBOSE",
    )
    dir: UserPath = option(
        "", "folder of the logs; empty means in the instance's folder", "LOG_DIR"
    )
    timeline: UserPath = option(
        "", "file to write a timeline of the run to, for Perfetto; empty means none"
    )


@dataclass(frozen=True)
class Debug:
    """Debugging with Delve."""

    base_port: int = option(39990, "first Delve port; kube-apiserver has base_port + 9")
    pause_tolerant: bool = option(
        True,
        "relax timeouts and leader election, so that hours at a breakpoint kill no process and"
        " evict no pod",
    )
    lift_write_deadline: bool = option(
        True, "build kube-apiserver without its fixed time limits for writes, such as 34 s"
    )
