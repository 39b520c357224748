"""Runs hack/local-up-cluster.sh -d where it can change nothing; a program of its own.

Usage: dryrun.py TREE SCRATCH [NAME=VALUE...], in new mount, pid and network namespaces.

The script's dry run still starts an etcd, fetches tools and writes to /etc, /opt and /var. So every
file system but SCRATCH is made read-only, /dev holds harmless devices only, there is no network,
and stand-ins for the programs it insists on do nothing.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, RDONLY = 442, -100, 0x8000, 1
_LIBC = ctypes.CDLL(None, use_errno=True)
DEVICES = ("null", "zero", "random", "urandom")
STANDINS = {
    "sudo": 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"',
    "curl": 'case "$*" in *2379*) echo ok;; *) exit 7;; esac',
    "etcd": "echo etcd Version: 99.0.0",
    "kubectl": "echo csr approved",
    **dict.fromkeys(
        (
            "openssl",
            "cfssl",
            "cfssljson",
            "sleep",
            "chown",
            "tar",
            "sha256sum",
            "tput",
            "pgrep",
            "make",
            "go",
            "docker",
            "systemctl",
            "modprobe",
            "kill",
        ),
        "exit 0",
    ),
}


def seal(scratch: Path) -> None:
    """Make everything read-only but the scratch folder, and leave no device that matters."""
    _mount("--bind", str(scratch), str(scratch))
    devices = scratch / "dev"
    devices.mkdir()
    for name in DEVICES:
        (devices / name).touch()
        _mount("--bind", f"/dev/{name}", str(devices / name))
    for name, to in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        (devices / name).symlink_to(f"/proc/self/fd{to}")
    _mount("--rbind", str(devices), "/dev")
    _mount("-t", "proc", "proc", "/proc")
    _attribute("/", AT_RECURSIVE, RDONLY, 0)
    _attribute(str(scratch), 0, 0, RDONLY)


def stand_in(folder: Path) -> None:
    """Write the stand-ins."""
    folder.mkdir()
    for name, text in STANDINS.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def _attribute(path: str, flags: int, on: int, off: int) -> None:
    """Change a mount's attributes, see mount_setattr(2)."""
    wanted = (ctypes.c_uint64 * 4)(on, off, 0, 0)
    if _LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, wanted, 32):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


def main(tree: str, scratch: str, *environ: str) -> None:
    """Seal this namespace and become the script."""
    place = Path(scratch)
    stand_in(place / "bin")
    for name in ("certs", "tmp", "logs", "home"):
        (place / name).mkdir()
    seal(place)
    env = {
        **dict(word.split("=", 1) for word in environ),
        "PATH": f"{place / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "TMP_DIR": str(place / "tmp"),
        "CERT_DIR": str(place / "certs"),
        "LOG_DIR": str(place / "logs"),
        "ETCD_DIR": str(place / "etcd"),
        "GO_OUT": str(place / "bin"),
        "REUSE_CERTS": "true",
        "ENABLE_DAEMON": "true",
        "TERM": "dumb",
    }
    os.chdir(tree)
    os.execve("/bin/bash", ["bash", "hack/local-up-cluster.sh", "-d"], env)  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
