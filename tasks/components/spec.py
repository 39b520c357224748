"""Spec: everything other modules ask about a component before it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.components.base import Component, Context
from tasks.components.command_line import Flags, unsupported
from tasks.settings.load import Settings

Part = Literal["control-plane", "kubelet", "kube-proxy"]
"""What START_MODE switches on and off."""
Probe = Literal["cni", "ipvs"]
"""A question to this machine, see runtime/probes.py."""
StartCheck = Literal["cgroups", "container-runtime", "api-server"]
"""A check before a start, see runtime/prerequisites.py."""


@dataclass(frozen=True)
class Program:
    """Where a component's program comes from."""

    kind: Literal["module", "tool", "installed"]
    """`module` is built from cmd/, `tool` is of the toolchain, `installed` is found on PATH."""
    name: str
    """Name of the folder below cmd/, of the tool, or of the program."""


def _nothing(_: Settings) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Spec:
    """What is known of a component before it is built; each component's module has one."""

    name: str
    """Name of the component: of its tasks, its log and its record."""
    program: Program
    """The program it runs, unless the user named one."""
    build: Callable[[Context], Component]
    """Pure builder of the component."""
    flags: Callable[[Context], Flags]
    """The flags it should have, before those its version does not take are left out."""
    after: tuple[str, ...] = ()
    """Components that have to be ready before it starts."""
    certs: tuple[str, ...] = ()
    """Sub-tasks of `certs` that make what it reads."""
    part: Part = "control-plane"
    """The part of the cluster it belongs to."""
    optional: Callable[[Settings], bool] | None = None
    """Whether the settings ask for it; None for a component that every cluster has."""
    own_program: Callable[[Settings], Path | None] = lambda _: None
    """The program of their own that the user named instead, if any."""
    sandboxed: bool = False
    """Whether it runs inside the node's sandbox when there is one."""
    contained: bool = False
    """Whether it runs in a container when DOCKERIZE_KUBELET is on."""
    tools: Callable[[Settings], tuple[str, ...]] = _nothing
    """Tools of the toolchain it needs besides its program."""
    task_deps: Callable[[Settings], tuple[str, ...]] = _nothing
    """Other tasks that have to run before it starts in a cluster."""
    probes: tuple[Probe, ...] = ()
    """What its builder needs to know of this machine."""
    validate: Callable[[Context], None] = lambda _: None
    """Raises Failure for settings with which it cannot work, before anything is built."""
    start_checks: tuple[StartCheck, ...] = ()
    """What this machine must have, checked before every start."""
    makes_node: bool = False
    """Whether `up` waits for the cluster's node to become Ready because of it."""
    survivors: str = ""
    """Start of the names of its helper programs, which outlive it."""
    exposed_ports: Callable[[Settings], tuple[int, ...]] = _nothing
    """Ports inside the sandbox that the host has to reach."""
    port_group: str = ""
    """Group of settings whose ports it listens on all at the same time."""
    debug_offset: int | None = None
    """Delve's port, counted from debug.base_port; None for what is not debugged.

    kube-apiserver's is the guide's. All are odd: Linux prefers even ports for outgoing
    connections, and a cluster has a hundred of them over loopback, any of which would keep Delve
    from its port.
    """
    pause_limit: Callable[[Context], str] | None = None
    """Says how long a request may stand at a breakpoint; empty for no limit."""

    @property
    def module(self) -> str | None:
        """The folder below cmd/ it is built from, None when it is not built."""
        return self.program.name if self.program.kind == "module" else None

    def built_module(self, settings: Settings) -> str | None:
        """Return the module to build for it; None when the user named a program."""
        return None if self.own_program(settings) else self.module

    def needed_tools(self, settings: Settings) -> tuple[str, ...]:
        """Return all tools of the toolchain it needs."""
        own = (self.program.name,) if self.program.kind == "tool" else ()
        return (*own, *self.tools(settings))

    def enabled(self, settings: Settings) -> bool:
        """Whether the settings ask for it, whatever START_MODE says."""
        return self.optional is None or self.optional(settings)

    def selected(self, settings: Settings) -> bool:
        """Whether the settings and START_MODE ask for it."""
        start = settings.start
        parts: dict[Part, bool] = {
            "control-plane": start.control_plane,
            "kubelet": start.kubelet,
            "kube-proxy": start.proxy,
        }
        return parts[self.part] and self.enabled(settings)

    def in_sandbox(self, settings: Settings) -> bool:
        """Whether it runs inside the node's sandbox."""
        return self.sandboxed and settings.node.sandbox

    def in_container(self, settings: Settings) -> bool:
        """Whether it runs in a container (DOCKERIZE_KUBELET)."""
        return self.contained and settings.kubelet.dockerize

    def host_ports(self, settings: Settings, component: Component) -> tuple[int, ...]:
        """Return the host's ports it takes, itself or through the sandbox's port forwards."""
        return tuple(dict.fromkeys((*component.ports, *self.exposed_ports(settings))))

    def dropped(self, context: Context) -> tuple[str, ...]:
        """Return the desired flags that this version does not take."""
        return unsupported(self.name, context, self.flags(context))
