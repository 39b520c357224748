"""The node's own namespaces: nothing on the host changes, and ending one process ends it all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks import process
from tasks.process import Record
from tasks.settings import Settings


def holds(settings: Settings, name: str) -> bool:
    """Tell whether a component runs inside the sandbox."""
    return settings.node.sandbox and name in ("containerd", "kubelet", "kube-proxy")


def spawn(settings: Settings, name: str, argv: tuple[str, ...], env: Mapping[str, str], *, cwd: Path, log: Path, fingerprint: str) -> Record:
    raise NotImplementedError
