"""Checks of the container runtime and its network: conflicts, and support by the minor."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tasks.components import containerd, docker
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.settings.load import Settings
from tasks.settings.paths import absolute
from tasks.system.resources import architecture

RUNTIME_OF = {
    "node.docker_opts": "docker",
    "node.docker_root": "docker",
    "node.rkt_path": "rkt",
    "node.rkt_stage1_image": "rkt",
}
"""Settings of one container runtime only, each with that runtime."""
HIDDEN = ("/run/", "/var/run/")
"""Folders of the host that the sandbox replaces with private ones."""


def runtime_conflicts(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for every invalid setting of the container runtime and its network."""
    yield from _runtime(settings, minor)
    yield from _kubelet_container(settings)
    yield from _network(settings)
    yield from _hidden(settings)


def _runtime(settings: Settings, minor: Minor) -> Iterator[Failure]:
    node, runtime = settings.node, settings.node.container_runtime
    source = settings.source("node.container_runtime")
    supported = {"docker": facts.minor(minor).dockershim, "rkt": facts.minor(minor).rkt}
    if not supported.get(runtime, True):
        minors = "1.10 to 1.23 support" if runtime == "docker" else "only 1.10 supports"
        yield Failure(
            f"{source}: the kubelet of Kubernetes {minor} does not support {runtime}; {minors} it",
            "unset it: then stepkube starts a private containerd",
        )
    elif runtime != "remote" and shutil.which(node.rkt_path or runtime) is None:
        yield Failure(
            f"{source}: {node.rkt_path or runtime} is not installed",
            "install it, or unset it: then stepkube starts a private containerd",
        )
    if runtime != "remote" and settings.node.sandbox:
        yield Failure(
            f"{source}: {runtime} runs on the host and cannot be reached from the node's sandbox",
            "set node.sandbox: false (STEPKUBE_NODE_SANDBOX=false)",
        )
    if runtime != "remote" and node.container_runtime_endpoint:
        yield Failure(
            f"{source} and {settings.source('node.container_runtime_endpoint')}: only a CRI"
            " runtime has an endpoint",
            "unset one of them",
        )
    for key, required in RUNTIME_OF.items():
        if settings.value(key) and runtime != required:
            yield Failure(
                f"{settings.source(key)}: it is a setting for {required}, but the container"
                f" runtime is {runtime}",
                f"set CONTAINER_RUNTIME={required}, or unset {key}",
            )
    try:
        docker.endpoint(node.docker_opts)
    except (Failure, ValueError) as error:
        hint = error.hint if isinstance(error, Failure) else "use shell quoting"
        yield Failure(f"{settings.source('node.docker_opts')}: {error.args[0]}", hint)


def _kubelet_container(settings: Settings) -> Iterator[Failure]:
    """Yield a failure for a kubelet in a container if the container runtime is not Docker."""
    kubelet, key = settings.kubelet, "kubelet.dockerize"
    if kubelet.dockerize and not docker.runs(settings):
        yield Failure(
            f"{settings.source(key)}: a kubelet in a container needs the container runtime docker,"
            f" but it is {settings.node.container_runtime}",
            "set CONTAINER_RUNTIME=docker and node.sandbox: false (STEPKUBE_NODE_SANDBOX=false)",
        )
    if kubelet.image and not kubelet.dockerize:
        yield Failure(
            f"{settings.source('kubelet.image')}: it is a setting for a kubelet in a container, but"
            " DOCKERIZE_KUBELET is false",
            "set DOCKERIZE_KUBELET=true, or unset kubelet.image",
        )


def _network(settings: Settings) -> Iterator[Failure]:
    node = settings.node
    if node.net_plugin == "kubenet" and not docker.runs(settings):
        yield Failure(
            f"{settings.source('node.net_plugin')}: kubenet needs the container runtime docker, but"
            f" it is {node.container_runtime}",
            "unset it to use a bridge network, or set CONTAINER_RUNTIME=docker",
        )
    if node.cni_conf_dir and node.cni_config_dir:
        yield Failure(
            f"{settings.source('node.cni_conf_dir')} and {settings.source('node.cni_config_dir')}:"
            " they are two names of one setting",
            "unset one of them",
        )
    networks = containerd.user_cni_config(settings)
    if (
        networks
        and not any(Path(networks).glob("*.conf*"))
        and not any(Path(networks).glob("*.json"))
    ):
        key = "node.cni_config_dir" if node.cni_config_dir else "node.cni_conf_dir"
        yield Failure(
            f"{settings.source(key)}: {networks} contains no CNI network (*.conflist, *.conf or"
            " *.json)",
            "add a network file, or unset it to use a bridge network",
        )
    plugins = absolute(node.cni_bin_dir)
    if plugins and not (Path(plugins) / "loopback").is_file():
        yield Failure(
            f"{settings.source('node.cni_bin_dir')}: {plugins} contains no CNI plugins (loopback is"
            " missing)",
            "set it to a folder of CNI plugins, or unset it: then stepkube provides them",
        )
    if node.cni_bin_dir and node.cni_plugins_version:
        yield Failure(
            f"{settings.source('node.cni_bin_dir')} and"
            f" {settings.source('node.cni_plugins_version')}: the plugins come either from a folder"
            " or from a release",
            "unset one of them",
        )
    if node.cni_targetarch not in ("", architecture()):
        yield Failure(
            f"{settings.source('node.cni_targetarch')}: plugins for {node.cni_targetarch} do not"
            f" run on this machine: its architecture is {architecture()}",
            "unset it",
        )
    for arch in ("amd64", "arm64", "ppc64le", "s390x"):
        key = f"node.cni_plugins_{arch}_sha256sum"
        if settings.value(key) and not node.cni_plugins_version:
            yield Failure(
                f"{settings.source(key)}: a digest needs the release of its archive",
                "set the release, for example CNI_PLUGINS_VERSION=v1.8.0",
            )


def _hidden(settings: Settings) -> Iterator[Failure]:
    """Yield a failure for paths of the host that are hidden in the sandbox by its private /run."""
    node_runs = "nokubelet" not in settings.start.mode and not os.geteuid()
    if not (node_runs and settings.node.sandbox):
        return
    for key in (
        "node.container_runtime_endpoint",
        "node.image_service_endpoint",
        "kubelet.pod_manifest_path",
        "kubelet.client_ca_file",
        "kubelet.resolv_conf",
        "start.cloud_config",
        "start.config_dir",
        "certs.dir",
        "logs.dir",
        "node.cni_config_dir",
        "node.cni_conf_dir",
        "node.cni_bin_dir",
    ):
        text = settings.value(key).removeprefix("unix://")
        if text.startswith(HIDDEN):
            yield Failure(
                f"{settings.source(key)}: {text} cannot be reached from the node's sandbox, which"
                " has a private /run",
                "use another path, or set node.sandbox: false (STEPKUBE_NODE_SANDBOX=false)",
            )
