"""Spawn: the type of the functions that start a component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tasks.system.process import Record


class Spawn(Protocol):
    """A function that starts a component: on the host (spawn), in the sandbox, in a container."""

    def __call__(
        self,
        component: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: Path,
        log: Path,
        fingerprint: str,
    ) -> Record:
        """Start the component, append its output to `log`, and return its record."""
