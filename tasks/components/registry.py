"""Every component there is, in the order of starting, known without building anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.components import (
    cloud_controller_manager,
    containerd,
    etcd,
    kube_apiserver,
    kube_controller_manager,
    kube_proxy,
    kube_scheduler,
    kubelet,
)
from tasks.components.base import Component, Context
from tasks.components.command_line import Flags, unsupported
from tasks.settings.load import Settings


@dataclass(frozen=True)
class Spec:
    """What is known of a component before it is built.

    `module` is the folder below cmd/ it is built from, or None when it is downloaded; `after` is
    what has to be ready first; `certs` are the sub-tasks of `certs` that make what it reads.
    """

    name: str
    module: str | None
    after: tuple[str, ...]
    build: Callable[[Context], Component]
    wanted: Callable[[Context], Flags]
    certs: tuple[str, ...]

    def dropped(self, context: Context) -> tuple[str, ...]:
        """Return the flags that were wanted and that this version does not take."""
        return unsupported(self.name, context, self.wanted(context))


COMPONENTS = {
    spec.name: spec
    for spec in (
        Spec("etcd", None, etcd.AFTER, etcd.build, etcd.desired_flags, etcd.CERTS),
        Spec(
            "kube-apiserver",
            "kube-apiserver",
            kube_apiserver.AFTER,
            kube_apiserver.build,
            kube_apiserver.desired_flags,
            kube_apiserver.CERTS,
        ),
        Spec(
            "kube-controller-manager",
            "kube-controller-manager",
            kube_controller_manager.AFTER,
            kube_controller_manager.build,
            kube_controller_manager.desired_flags,
            kube_controller_manager.CERTS,
        ),
        Spec(
            "cloud-controller-manager",
            "cloud-controller-manager",
            cloud_controller_manager.AFTER,
            cloud_controller_manager.build,
            cloud_controller_manager.desired_flags,
            cloud_controller_manager.CERTS,
        ),
        Spec(
            "kube-scheduler",
            "kube-scheduler",
            kube_scheduler.AFTER,
            kube_scheduler.build,
            kube_scheduler.desired_flags,
            kube_scheduler.CERTS,
        ),
        Spec(
            "containerd",
            None,
            containerd.AFTER,
            containerd.build,
            containerd.desired_flags,
            containerd.CERTS,
        ),
        Spec(
            "kubelet", "kubelet", kubelet.AFTER, kubelet.build, kubelet.desired_flags, kubelet.CERTS
        ),
        Spec(
            "kube-proxy",
            "kube-proxy",
            kube_proxy.AFTER,
            kube_proxy.build,
            kube_proxy.desired_flags,
            kube_proxy.CERTS,
        ),
    )
}
"""Specs by name; what a component needs stands before it."""


def own_binary(settings: Settings, name: str) -> Path | None:
    """Return the program a user named to run as a component, or None."""
    own = name == cloud_controller_manager.NAME
    return cloud_controller_manager.own_binary(settings) if own else None


def built_module(settings: Settings, name: str) -> str | None:
    """Return the module a component is built from, or None when nothing is built for it."""
    return None if own_binary(settings, name) else COMPONENTS[name].module
