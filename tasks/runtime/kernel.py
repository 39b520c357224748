"""What this machine's kernel can do for kube-proxy; modules are looked for, never loaded."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

MODULES = ("ip_vs", "ip_vs_rr")
"""IPVS itself, and the scheduler that kube-proxy uses by default."""
LOAD = "modprobe -a ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh nf_conntrack"


def why_no_ipvs(root: Path = Path("/")) -> str:
    """Return why kube-proxy cannot use IPVS here; empty when it can."""
    known = root / "lib" / "modules" / platform.release()
    missing = [name for name in MODULES if not _is_in(root, known / "modules.builtin", name)]
    if missing and all(_listed(known / "modules.dep", name) for name in missing):
        return f"the module {missing[0]} is not loaded (as root: {LOAD})"
    if missing:
        return f"this kernel has no {missing[0]}"
    return "" if shutil.which("ipset") else "ipset is not installed (apt-get install -y ipset)"


def _is_in(root: Path, builtin: Path, name: str) -> bool:
    """Tell whether a module is loaded or part of the kernel."""
    signs = [root / "sys" / "module" / name, root / "proc" / "net" / name]
    loaded = root / "proc" / "modules"
    lines = loaded.read_text().splitlines() if loaded.is_file() else []
    return (
        any(sign.exists() for sign in signs)
        or any(line.split(" ", 1)[0] == name for line in lines)
        or _listed(builtin, name)
    )


def _listed(file: Path, name: str) -> bool:
    """Tell whether a list of depmod has a module, compressed or not."""
    if not file.is_file():
        return False
    return any(f"/{name}.ko" in line.partition(":")[0] for line in file.read_text().splitlines())
