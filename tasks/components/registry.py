"""All components in start order; a new component needs its module and a line in this file."""

from __future__ import annotations

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
from tasks.components.spec import Spec
from tasks.settings.load import Settings

COMPONENTS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        etcd.SPEC,
        kube_apiserver.SPEC,
        kube_controller_manager.SPEC,
        cloud_controller_manager.SPEC,
        kube_scheduler.SPEC,
        containerd.SPEC,
        kubelet.SPEC,
        kube_proxy.SPEC,
    )
}
"""Specs by name; a component comes after the components that it needs."""


def modules() -> list[str]:
    """Return the modules under cmd/ that are built: those of the components, and kubectl."""
    return [*(spec.module for spec in COMPONENTS.values() if spec.module), "kubectl"]


def configured_modules(settings: Settings) -> list[str]:
    """Return the modules without those of components that the settings do not enable."""
    disabled = {spec.module for spec in COMPONENTS.values() if not spec.enabled(settings)}
    return [module for module in modules() if module not in disabled]


def is_contained(settings: Settings, module: str) -> bool:
    """Return whether a module's binary runs in a container, where the C library is another one."""
    return any(
        spec.module == module and spec.in_container(settings) for spec in COMPONENTS.values()
    )


def debug_offsets() -> dict[str, int]:
    """Return the offset of the Delve port of every component that can be debugged, by name.

    Optional components come last, because they may not run.
    """
    ranked = sorted(COMPONENTS.values(), key=lambda spec: spec.optional is not None)
    return {spec.name: spec.debug_offset for spec in ranked if spec.debug_offset is not None}


def debug_port(settings: Settings, name: str) -> int:
    """Return the Delve port of a component; it is constant, so that editors can store it."""
    return settings.debug.base_port + debug_offsets()[name]
