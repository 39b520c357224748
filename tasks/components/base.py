"""What every component is made of, and what its builder is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.kubernetes import facts
from tasks.settings.load import Settings
from tasks.system.ports import Health


@dataclass(frozen=True)
class Component:
    """A process of the cluster, as it is wanted.

    `env` is added to the minimal environment; `files` are rendered configuration files;
    `inputs` are files whose content the process reads at start (their digest is part of the
    fingerprint); `folders` must exist; `ports` must be free before the start; `states` are files
    of an earlier run that are only good for a start when they have this text in them; `sockets` are
    paths it listens at, which must not be too long for that; `image` is what it has around it when
    it runs in a container; `advice` is what to do when it does not become ready, if there is more
    to say than to read its log.
    """

    name: str
    argv: tuple[str, ...]
    health: Health
    after: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    ports: tuple[int, ...] = ()
    states: Mapping[Path, str] = field(default_factory=dict)
    sockets: tuple[Path, ...] = ()
    image: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Context:
    """What a builder needs besides the settings.

    `minor` is the Kubernetes minor, such as (1, 20); `binary` the absolute path of the program;
    `flags` are the flag names the binary's --help lists, or None when that is not known.
    """

    settings: Settings
    minor: tuple[int, int]
    binary: Path
    flags: frozenset[str] | None = None

    @property
    def facts(self) -> facts.Facts:
        """What is true of the minor."""
        return facts.minor(self.minor)
