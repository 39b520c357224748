"""Kernel support for IPVS in kube-proxy; kernel modules are searched, never loaded."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

MODULES = ("ip_vs", "ip_vs_rr")
"""The kernel modules of IPVS and of kube-proxy's default scheduler."""
LOAD_COMMAND = "modprobe -a ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh nf_conntrack"


def why_no_ipvs(root: Path = Path("/")) -> str:
    """Return why kube-proxy cannot use IPVS on this machine; empty when it can."""
    folder = root / "lib" / "modules" / platform.release()
    missing = [
        name for name in MODULES if not _is_available(root, folder / "modules.builtin", name)
    ]
    if missing and all(_is_listed(folder / "modules.dep", name) for name in missing):
        return f"the kernel module {missing[0]} is not loaded (run as root: {LOAD_COMMAND})"
    if missing:
        return f"this kernel has no module {missing[0]}"
    return "" if shutil.which("ipset") else "ipset is not installed (apt-get install -y ipset)"


def _is_available(root: Path, builtin: Path, name: str) -> bool:
    """Return whether a kernel module is loaded or part of the kernel."""
    paths = [root / "sys" / "module" / name, root / "proc" / "net" / name]
    loaded = root / "proc" / "modules"
    lines = loaded.read_text(errors="replace").splitlines() if loaded.is_file() else []
    return (
        any(path.exists() for path in paths)
        or any(line.split(" ", 1)[0] == name for line in lines)
        or _is_listed(builtin, name)
    )


def _is_listed(file: Path, name: str) -> bool:
    """Return whether a file of depmod(8) lists a kernel module, compressed or not."""
    if not file.is_file():
        return False
    return any(
        f"/{name}.ko" in line.partition(":")[0]
        for line in file.read_text(errors="replace").splitlines()
    )
