"""What of container runtimes and their networks goes together, and works with a minor."""

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

NEEDS = {
    "node.docker_opts": "docker",
    "node.docker_root": "docker",
    "node.rkt_path": "rkt",
    "node.rkt_stage1_image": "rkt",
}
"""Settings that only one runtime has a use for."""
HIDDEN = ("/run/", "/var/run/")
"""Folders of the host that the sandbox covers with its own."""


def runtime_conflicts(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for everything of the runtime that cannot work."""
    yield from _runtime(settings, minor)
    yield from _contained(settings)
    yield from _network(settings)
    yield from _hidden(settings)


def _runtime(settings: Settings, minor: Minor) -> Iterator[Failure]:
    node, chosen = settings.node, settings.node.container_runtime
    source = settings.source("node.container_runtime")
    fits = {"docker": facts.minor(minor).dockershim, "rkt": facts.minor(minor).rkt}
    if not fits.get(chosen, True):
        span = "1.10 to 1.23" if chosen == "docker" else "1.10 alone"
        yield Failure(
            f"{source}: the kubelet of Kubernetes {minor} does not know {chosen}; that of {span}"
            " does",
            "unset it: the tool brings a containerd of its own",
        )
    elif chosen != "remote" and shutil.which(node.rkt_path or chosen) is None:
        yield Failure(
            f"{source}: {node.rkt_path or chosen} is not installed",
            "install it, or unset it: the tool brings a containerd of its own",
        )
    if chosen != "remote" and settings.node.sandbox:
        yield Failure(
            f"{source}: {chosen} runs on the host, out of reach of a node in its own namespaces",
            "set node.sandbox: false (STEPKUBE_NODE_SANDBOX=false)",
        )
    if chosen != "remote" and node.container_runtime_endpoint:
        yield Failure(
            f"{source} and {settings.source('node.container_runtime_endpoint')}: only a CRI"
            " runtime has an endpoint",
            "leave one of them out",
        )
    for key, runtime in NEEDS.items():
        if settings.value(key) and chosen != runtime:
            yield Failure(
                f"{settings.source(key)}: that is for {runtime}, and the runtime is {chosen}",
                f"set CONTAINER_RUNTIME={runtime}, or leave it out",
            )
    try:
        docker.endpoint(node.docker_opts)
    except (Failure, ValueError) as error:
        hint = error.hint if isinstance(error, Failure) else "quote it like a shell wants"
        yield Failure(f"{settings.source('node.docker_opts')}: {error.args[0]}", hint)


def _contained(settings: Settings) -> Iterator[Failure]:
    """Refuse a kubelet in a container with another runtime than the one that makes it."""
    kubelet, key = settings.kubelet, "kubelet.dockerize"
    if kubelet.dockerize and not docker.runs(settings):
        yield Failure(
            f"{settings.source(key)}: the runtime of a kubelet in a container is Docker, and here"
            f" it is {settings.node.container_runtime}",
            "set CONTAINER_RUNTIME=docker and node.sandbox: false (STEPKUBE_NODE_SANDBOX=false)",
        )
    if kubelet.image and not kubelet.dockerize:
        yield Failure(
            f"{settings.source('kubelet.image')}: that is for a kubelet in a container, and here it"
            " is a process of the host",
            "set DOCKERIZE_KUBELET=true, or leave it out",
        )


def _network(settings: Settings) -> Iterator[Failure]:
    node = settings.node
    if node.net_plugin == "kubenet" and not docker.runs(settings):
        yield Failure(
            f"{settings.source('node.net_plugin')}: kubenet is made for Docker, and the runtime is"
            f" {node.container_runtime}",
            "unset it: containerd has a bridge network; or set CONTAINER_RUNTIME=docker",
        )
    if node.cni_conf_dir and node.cni_config_dir:
        yield Failure(
            f"{settings.source('node.cni_conf_dir')} and {settings.source('node.cni_config_dir')}:"
            " two names of one folder",
            "leave one of them out",
        )
    own = containerd.user_cni_config(settings)
    if own and not any(Path(own).glob("*.conf*")) and not any(Path(own).glob("*.json")):
        key = "node.cni_config_dir" if node.cni_config_dir else "node.cni_conf_dir"
        yield Failure(
            f"{settings.source(key)}: {own} has no network (*.conflist, *.conf or *.json)",
            "put one there, or unset it to have a bridge network",
        )
    plugins = absolute(node.cni_bin_dir)
    if plugins and not (Path(plugins) / "loopback").is_file():
        yield Failure(
            f"{settings.source('node.cni_bin_dir')}: {plugins} has no CNI plugins (no loopback)",
            "name a folder that has them, or unset it to have them built",
        )
    if node.cni_bin_dir and node.cni_plugins_version:
        yield Failure(
            f"{settings.source('node.cni_bin_dir')} and"
            f" {settings.source('node.cni_plugins_version')}: the plugins are either there or made",
            "leave one of them out",
        )
    if node.cni_targetarch not in ("", architecture()):
        yield Failure(
            f"{settings.source('node.cni_targetarch')}: plugins for {node.cni_targetarch} do not"
            f" run on this machine, which is {architecture()}",
            "unset it",
        )
    for arch in ("amd64", "arm64", "ppc64le", "s390x"):
        key = f"node.cni_plugins_{arch}_sha256sum"
        if settings.value(key) and not node.cni_plugins_version:
            yield Failure(
                f"{settings.source(key)}: a digest is that of one release",
                "name it, for example CNI_PLUGINS_VERSION=v1.8.0",
            )


def _hidden(settings: Settings) -> Iterator[Failure]:
    """Refuse what a node in its own namespaces could not see, as it has its own /run."""
    runs = "nokubelet" not in settings.start.mode and not os.geteuid()
    if not (runs and settings.node.sandbox):
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
                f"{settings.source(key)}: a node in its own namespaces has a /run of its own and"
                f" does not see {text}",
                "name another path, or set node.sandbox: false (STEPKUBE_NODE_SANDBOX=false)",
            )
