"""What a node could change on the host, taken as text so that two moments can be compared."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SYSCTLS, CGROUPS = Path("/proc/sys"), Path("/sys/fs/cgroup")
# these change by themselves, or by being read
RESTLESS = re.compile(
    r"fs/(aio-nr|dentry-state|file-nr|inode-nr|inode-state|quota/.*)"
    r"|kernel/(ns_last_pid|perf_event_max_sample_rate|pty/nr|random/.*|hung_task_detect_count)"
    r"|net/netfilter/nf_conntrack_count|vm/stat_refresh|.*/flush"
)
COMMANDS = {
    "links": ("ip", "-j", "link"),
    "addresses": ("ip", "-j", "address"),
    "routes": ("ip", "-j", "route", "show", "table", "all"),
    "routes of IPv6": ("ip", "-j", "-6", "route", "show", "table", "all"),
    "routing rules": ("ip", "-j", "rule"),
    "iptables": ("iptables-save",),
    "ip6tables": ("ip6tables-save",),
    "legacy iptables": ("iptables-legacy-save",),
    "nftables": ("nft", "list", "ruleset"),
}
# of these folders the names in them; of those below them, which a node makes, every name
FOLDERS = ("/etc", "/opt", "/run", "/usr/libexec", "/var/lib", "/var/log")
TREES = (
    "/etc/cni",
    "/opt/cni",
    "/opt/containerd",
    "/run/containerd",
    "/run/flannel",
    "/run/netns",
    "/run/stepkube",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
OF_A_NODE = re.compile(r"stepkube|kube|pod|containerd|cri-|k8s")
COUNTERS = re.compile(r"\[\d+:\d+\]|packets \d+ bytes \d+")
LIFETIMES = ("valid_life_time", "preferred_life_time", "expires")


def snapshot(instance: str) -> dict[str, str]:
    """Return the state of the host; of other instances of the tool nothing is looked at."""
    found = {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        **{f"file {path}": "" for path in names()},
        **{f"sysctl {name}": value for name, value in sysctls()},
        **{f"cgroup {folder}": "" for folder in cgroups(instance)},
    }
    for name, argv in COMMANDS.items():
        if shutil.which(argv[0]):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            found[name] = quiet(done.stdout)
    return found


def difference(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return what is not the same, by name."""
    every = sorted(before.keys() | after.keys())
    pairs = {name: (before.get(name, "absent"), after.get(name, "absent")) for name in every}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def sysctls() -> Iterator[tuple[str, str]]:
    """Yield every setting of the kernel that can be read and keeps still."""
    for folder, _, files in os.walk(SYSCTLS):
        for file in files:
            name = str(Path(folder, file).relative_to(SYSCTLS))
            if not RESTLESS.fullmatch(name):
                try:
                    yield name, Path(folder, file).read_text(errors="replace")
                except OSError:
                    continue


def cgroups(instance: str) -> Iterator[str]:
    """Yield the control groups that a node could make, of all hierarchies.

    Left out are those systemd makes and removes, and what others do in groups of their own.
    """
    depth = 1 if (CGROUPS / "cgroup.controllers").exists() else 2
    for folder, inner, _ in os.walk(CGROUPS):
        inner[:] = [
            name
            for name in inner
            if not name.endswith((".service", ".scope", ".slice"))
            and (name == f"stepkube-{instance}" or not name.startswith("stepkube-"))
        ]
        below = len(Path(folder).relative_to(CGROUPS).parts) >= depth
        found = (str(Path(folder, name)) for name in inner)
        yield from (path for path in found if not below or OF_A_NODE.search(path))


def names() -> Iterator[str]:
    """Yield the names of what lies in the folders that a node writes to."""
    for top in FOLDERS:
        if Path(top).is_dir():
            yield from map(str, Path(top).iterdir())
    for top in TREES:
        yield from map(str, Path(top).rglob("*"))


def quiet(said: str) -> str:
    """Drop the counters, dates and lifetimes that change by themselves."""
    try:
        return json.dumps([_quiet(entry) for entry in json.loads(said)], indent=1)
    except ValueError:
        lines = COUNTERS.sub("", said).splitlines()
        return "\n".join(line for line in lines if not line.startswith("#"))


def _quiet(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _quiet(inner) for key, inner in value.items() if key not in LIFETIMES}
    return [_quiet(inner) for inner in value] if isinstance(value, list) else value
