"""The node: whether kubelet and kube-proxy can run here, and what they need around them."""

from __future__ import annotations

import os
import shutil

from tasks.settings import Settings

NODE = ("containerd", "kubelet", "kube-proxy")


def components(settings: Settings) -> list[str]:
    """Return the node's components that are to run: none where they cannot."""
    if missing(settings):
        return []
    mode = settings.start.mode
    if "nokubelet" in mode:
        return []
    return [name for name in NODE if not (name == "kube-proxy" and _no_proxy(mode))]


def missing(settings: Settings) -> list[str]:
    """Return what this machine lacks to run a node."""
    lacks = [name for name in ("containerd", "runc") if shutil.which(name) is None]
    return [*(["root"] if os.geteuid() else []), *lacks]


def left_out(settings: Settings) -> str:
    """Say in one line why kubelet and kube-proxy do not run and how to get them."""
    if "nokubelet" in settings.start.mode:
        return f"No kubelet was started because of START_MODE={settings.start.mode}."
    lacks = missing(settings)
    if not lacks:
        return ""
    return (
        f"kubelet and kube-proxy were left out: no {' and no '.join(lacks)} here;"
        " to get them: apt-get install -y containerd runc iptables, then doit up as root"
    )


def after_start(settings: Settings, names: list[str]) -> None:
    """Finish the node once its components run."""


def after_stop(settings: Settings) -> None:
    """Remove what the node left behind."""


def _no_proxy(mode: str) -> bool:
    return mode == "kubeletonly" or "nokubeproxy" in mode
