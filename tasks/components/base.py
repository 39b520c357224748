"""Component: a process as it should run. Context: the input of its builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.kubernetes import facts
from tasks.settings.load import Settings
from tasks.system.ports import Health

READY_TIMEOUT = 90.0
"""Default time limit in seconds for a component to become ready."""


@dataclass(frozen=True)
class Component:
    """A process of the cluster as it should run: command line, files, health check."""

    name: str
    """The name of the component, also in the names of its tasks, log and record."""
    argv: tuple[str, ...]
    """The command line, starting with the program."""
    health: Health
    """The health check that succeeds when the component is ready."""
    after: tuple[str, ...] = ()
    """The components that must be ready before it starts."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The variables added to the minimal environment."""
    files: Mapping[Path, str] = field(default_factory=dict)
    """The configuration files and their content, written before the start."""
    inputs: tuple[Path, ...] = ()
    """The files it reads at its start; their digests are part of the fingerprint."""
    folders: tuple[Path, ...] = ()
    """The folders that must exist."""
    ports: tuple[int, ...] = ()
    """The ports that must be free before the start."""
    state_files: Mapping[Path, str] = field(default_factory=dict)
    """State files of an earlier run, and a text: a file without that text is removed."""
    sockets: tuple[Path, ...] = ()
    """The paths of the sockets it listens on; the length of a socket's path is limited."""
    networks: tuple[str, ...] = ()
    """The networks of the sandbox that it connects to from the host, see runtime/connectors.py."""
    image: str = ""
    """The image of its container; empty when it does not run in one."""
    ready_timeout: float = READY_TIMEOUT
    """The time limit in seconds for becoming ready."""
    notes: tuple[str, ...] = ()
    """Lines to print at its start, for example that this machine does not support a mode."""
    advice: str = ""
    """The hint to print when it does not become ready; empty: read its log."""


@dataclass(frozen=True)
class Context:
    """The input of a builder: settings, version, program, and answers of this machine."""

    settings: Settings
    """The settings of this run."""
    minor: facts.Minor
    """The Kubernetes minor, for example 1.20."""
    binary: Path
    """The absolute path of the program."""
    flags: frozenset[str] | None = None
    """The flag names in the program's --help, or None when they are not known."""
    host_answers: Mapping[str, str] = field(default_factory=dict)
    """The answers to the host queries of the component's Spec, by name."""

    @property
    def facts(self) -> facts.Facts:
        """The facts of the minor."""
        return facts.minor(self.minor)
