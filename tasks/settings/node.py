"""Settings of the node: its container runtime, its network and its sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.settings.declare import Command, Flags, Items, UserPath, option

Runtime = Literal["remote", "docker", "rkt"]
NetPlugin = Literal["", "cni", "kubenet"]


@dataclass(frozen=True)
class Node:
    """The node: container runtime and where it runs."""

    sandbox: bool = option(
        True, "run containerd, kubelet and kube-proxy in private namespaces (the sandbox)"
    )
    container_runtime: Runtime = option(
        "remote",
        "container runtime: remote means any CRI runtime; docker works up to 1.23, rkt in 1.10",
        "CONTAINER_RUNTIME",
        until="1.26",
    )
    container_runtime_endpoint: str = option(
        "",
        "socket of a running CRI runtime; empty starts a private containerd",
        "CONTAINER_RUNTIME_ENDPOINT",
    )
    image_service_endpoint: str = option(
        "",
        "socket of the CRI image service; empty means that of the runtime",
        "IMAGE_SERVICE_ENDPOINT",
    )
    docker_opts: Flags = option(
        "",
        "options for connecting to Docker, such as --host=unix:///var/run/docker.sock",
        "DOCKER_OPTS",
        until="1.23",
    )
    docker_root: UserPath = option(
        "",
        "folder of Docker's state; empty means Docker's default",
        "DOCKER_ROOT",
        until="1.23",
        variable_since="1.11",
    )
    rkt_path: Command = option(
        "", "path of rkt; empty means the rkt in PATH", "RKT_PATH", until="1.10"
    )
    rkt_stage1_image: str = option(
        "", "rkt's stage 1 image; empty means rkt's default", "RKT_STAGE1_IMAGE", until="1.10"
    )
    net_plugin: NetPlugin = option(
        "",
        "network plugin of the kubelet for Docker; other runtimes call CNI themselves",
        "NET_PLUGIN",
        until="1.23",
    )
    cni_config_dir: UserPath = option(
        "",
        "folder with your CNI network configuration; empty means a bridge network",
        "CNI_CONFIG_DIR",
        variable_since="1.24",
        renamed="CNI_CONF_DIR",
    )
    cni_conf_dir: UserPath = option(
        "",
        "older name of cni_config_dir",
        "CNI_CONF_DIR",
        variable_until="1.23",
        renamed="CNI_CONFIG_DIR",
    )
    cni_bin_dir: UserPath = option(
        "",
        "folder of CNI plugins; empty means the installed ones, or else built ones",
        "CNI_BIN_DIR",
        variable_until="1.23",
    )
    cni_plugins_version: str = option(
        "",
        "release of the CNI plugins to build; empty means any release",
        "CNI_PLUGINS_VERSION",
        variable_since="1.24",
    )
    cni_targetarch: str = option(
        "",
        "architecture of the CNI plugins; must be that of this machine",
        "CNI_TARGETARCH",
        variable_since="1.24",
    )
    cni_plugins_amd64_sha256sum: str = option(
        "",
        "SHA-256 of the release archive for amd64, which is then used instead of a build",
        "CNI_PLUGINS_AMD64_SHA256SUM",
        variable_since="1.24",
        variable_until="1.34",
    )
    cni_plugins_arm64_sha256sum: str = option(
        "",
        "SHA-256 of the release archive for arm64",
        "CNI_PLUGINS_ARM64_SHA256SUM",
        variable_since="1.24",
        variable_until="1.34",
    )
    cni_plugins_ppc64le_sha256sum: str = option(
        "",
        "SHA-256 of the release archive for ppc64le",
        "CNI_PLUGINS_PPC64LE_SHA256SUM",
        variable_since="1.24",
        variable_until="1.34",
    )
    cni_plugins_s390x_sha256sum: str = option(
        "",
        "SHA-256 of the release archive for s390x",
        "CNI_PLUGINS_S390X_SHA256SUM",
        variable_since="1.24",
        variable_until="1.34",
    )
    address: Items = option("10.99.0.1", "address of the node inside its sandbox")
    pull: bool = option(True, "let containerd in the sandbox pull images over the host's network")
    forward: tuple[str, ...] = option(
        (),
        "port forwards from the host's loopback address to the sandbox: PORT, or"
        " HOST_PORT:SANDBOX_PORT",
    )
    pause_image: str = option(
        "", "pause image, which keeps a pod's namespaces; empty builds one from the tree"
    )
