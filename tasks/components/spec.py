"""Spec: the properties of a component that are known before it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.components.base import Component, Context
from tasks.components.command_line import Flags, unsupported
from tasks.settings.load import Settings
from tasks.system.ports import Health

Part = Literal["control-plane", "kubelet", "kube-proxy"]
"""A part of the cluster that START_MODE enables or disables."""
HostQuery = Literal["cni", "connections", "ipvs"]
"""The name of a query of this machine, see runtime/host_queries.py."""
StartCheck = Literal["cgroups", "container-runtime", "api-server"]
"""The name of a check before a start, see runtime/prerequisites.py."""


@dataclass(frozen=True)
class Program:
    """The program of a component and its kind."""

    kind: Literal["module", "tool", "installed"]
    """`module`: built from cmd/; `tool`: from the toolchain; `installed`: found on PATH."""
    name: str
    """The name of the folder under cmd/, of the tool, or of the program."""


def _nothing(_: Settings) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Spec:
    """The properties of a component before it is built; each component's module has one Spec."""

    name: str
    """The name of the component, also in the names of its tasks, log and record."""
    program: Program
    """The program it runs, unless the user sets one."""
    build: Callable[[Context], Component]
    """Returns the component; a pure function."""
    flags: Callable[[Context], Flags]
    """Returns the desired flags, including those that its version does not accept."""
    user_flags: str = ""
    """The key of the setting with flags of the user, which come last on the command line."""
    after: tuple[str, ...] = ()
    """The components that must be ready before it starts."""
    certs: tuple[str, ...] = ()
    """The sub-tasks of `certs` that create the files it reads."""
    part: Part = "control-plane"
    """The part of the cluster that it belongs to."""
    optional: Callable[[Settings], bool] | None = None
    """Returns whether the settings enable it; None for a component that every cluster has."""
    health_of: Callable[[Component, tuple[str, ...]], Health] = lambda component, _: (
        component.health
    )
    """Returns the health check of a process with this command line; an earlier release of stepkube
    may have started it."""
    user_program: Callable[[Settings], Path | None] = lambda _: None
    """Returns the program that the user set instead, or None."""
    sandboxed: bool = False
    """Whether it runs in the node's sandbox when node.sandbox is on."""
    contained: bool = False
    """Whether it runs in a container when DOCKERIZE_KUBELET is on."""
    tools: Callable[[Settings], tuple[str, ...]] = _nothing
    """Returns the tools of the toolchain that it needs in addition to its program."""
    task_deps: Callable[[Settings], tuple[str, ...]] = _nothing
    """Returns other tasks that must run before it starts in a cluster."""
    host_queries: tuple[HostQuery, ...] = ()
    """The queries of this machine whose answers its builder needs."""
    validate: Callable[[Context], None] = lambda _: None
    """Raises Failure for settings that it cannot work with, before anything is built."""
    start_checks: tuple[StartCheck, ...] = ()
    """The checks of this machine before every start."""
    makes_node: bool = False
    """Whether `up` waits for the cluster's node to become Ready because of it."""
    survivors: str = ""
    """The prefix of the names of its helper programs, which keep running after it stops."""
    exposed_ports: Callable[[Settings], tuple[int, ...]] = _nothing
    """Returns the ports in the sandbox that must be reachable from the host."""
    port_group: str = ""
    """The group of settings with its ports; it listens on all of them at the same time."""
    debug_offset: int | None = None
    """The offset of its Delve port from debug.base_port; None if it cannot be debugged.

    kube-apiserver has the port of the guide. All offsets are odd: Linux prefers even ports for
    outgoing connections. A cluster has about a hundred of them over loopback, and Delve cannot
    listen on a port that one of them uses.
    """
    pause_limit: Callable[[Context], str] | None = None
    """Returns how long a request may be paused at a breakpoint, as text; empty for no limit."""

    @property
    def module(self) -> str | None:
        """The module under cmd/ that it is built from; None when it is not built."""
        return self.program.name if self.program.kind == "module" else None

    def built_module(self, settings: Settings) -> str | None:
        """Return the module to build for it; None when the user sets a program."""
        return None if self.user_program(settings) else self.module

    def needed_tools(self, settings: Settings) -> tuple[str, ...]:
        """Return all tools of the toolchain that it needs."""
        program = (self.program.name,) if self.program.kind == "tool" else ()
        return (*program, *self.tools(settings))

    def enabled(self, settings: Settings) -> bool:
        """Return whether the settings enable it, without regard to START_MODE."""
        return self.optional is None or self.optional(settings)

    def selected(self, settings: Settings) -> bool:
        """Return whether the settings and START_MODE enable it."""
        start = settings.start
        parts: dict[Part, bool] = {
            "control-plane": start.control_plane,
            "kubelet": start.kubelet,
            "kube-proxy": start.proxy,
        }
        return parts[self.part] and self.enabled(settings)

    def in_sandbox(self, settings: Settings) -> bool:
        """Return whether it runs in the node's sandbox."""
        return self.sandboxed and settings.node.sandbox

    @property
    def umask(self) -> int:
        """The umask of its process: pods run as any user and read what the node creates."""
        return 0o022 if self.sandboxed else 0o077

    def in_container(self, settings: Settings) -> bool:
        """Return whether it runs in a container (DOCKERIZE_KUBELET)."""
        return self.contained and settings.kubelet.dockerize

    def host_ports(self, settings: Settings, component: Component) -> tuple[int, ...]:
        """Return the host's ports that it uses, directly or through the sandbox's port forwards."""
        return tuple(dict.fromkeys((*component.ports, *self.exposed_ports(settings))))

    def dropped(self, context: Context) -> tuple[str, ...]:
        """Return the desired flags that this version does not accept."""
        return unsupported(self.name, context, self.flags(context))
