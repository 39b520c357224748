"""Component: a process as it should run. Context: what its builder is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.kubernetes import facts
from tasks.settings.load import Settings
from tasks.system.ports import Health

READY_TIMEOUT = 90.0
"""Seconds a component may take to become ready."""


@dataclass(frozen=True)
class Component:
    """A process of the cluster as it should run: command line, files, health check."""

    name: str
    """Name of the component: of its tasks, its log and its record."""
    argv: tuple[str, ...]
    """Command line, the program first."""
    health: Health
    """Where it answers once it is ready."""
    after: tuple[str, ...] = ()
    """Components that have to be ready before it starts."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables added to the minimal environment."""
    files: Mapping[Path, str] = field(default_factory=dict)
    """Configuration files and their content, written before the start."""
    inputs: tuple[Path, ...] = ()
    """Files it reads at its start; their digests are part of the fingerprint."""
    folders: tuple[Path, ...] = ()
    """Folders that must exist."""
    ports: tuple[int, ...] = ()
    """Ports that must be free before the start."""
    states: Mapping[Path, str] = field(default_factory=dict)
    """Files of an earlier run and a text: without that text in it, a file is removed."""
    sockets: tuple[Path, ...] = ()
    """Paths it listens at, which must not be too long for a socket."""
    image: str = ""
    """Image around it when it runs in a container."""
    ready_timeout: float = READY_TIMEOUT
    """Seconds it may take to become ready."""
    notes: tuple[str, ...] = ()
    """What to print at its start, such as a mode that this machine cannot do."""
    advice: str = ""
    """Fix to print when it does not become ready; empty: read its log."""


@dataclass(frozen=True)
class Context:
    """What a builder needs: settings, version, program, and what was found on this machine."""

    settings: Settings
    """Everything the user can choose."""
    minor: facts.Minor
    """The Kubernetes minor, such as 1.20."""
    binary: Path
    """Absolute path of the program."""
    flags: frozenset[str] | None = None
    """Flag names in the program's --help, or None when they are not known."""
    probed: Mapping[str, str] = field(default_factory=dict)
    """Answers of this machine to the probes of the component's Spec, by name."""

    @property
    def facts(self) -> facts.Facts:
        """What is true of the minor."""
        return facts.minor(self.minor)
