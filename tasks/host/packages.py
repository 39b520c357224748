"""Packages that the node and the build need, with their names in each package manager."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tasks.host.plan import Command, Mirrors

_ENTERPRISE = frozenset({"centos", "rhel", "rocky", "almalinux", "ol"})
_EPEL = "https://dl.fedoraproject.org/pub/epel"


@dataclass(frozen=True)
class Package:
    """A package, its purpose (`why`), and its names in the Debian and Red Hat families."""

    why: str
    apt: str
    rpm: str


@dataclass(frozen=True)
class Runtime:
    """A container runtime: its package, systemd service and program."""

    package: Package
    service: str
    program: str
    """If it exists, another package such as docker-ce may own it; `package` would remove that."""


RUNTIMES = {
    "remote": Runtime(
        Package("container runtime", "containerd", "containerd"), "containerd", "containerd"
    ),
    "docker": Runtime(Package("container runtime", "docker.io", "docker"), "docker", "dockerd"),
}
"""Runtimes by node.container_runtime; no distribution has a package of rkt any more."""
PACKAGES = (
    Package("starts containers", "runc", "runc"),
    Package("CNI plugins", "containernetworking-plugins", "containernetworking-plugins"),
    Package("service rules of kube-proxy", "iptables", "iptables"),
    Package("service rules of kube-proxy, nftables mode", "nftables", "nftables"),
    Package("connection tracking of kube-proxy", "conntrack", "conntrack-tools"),
    Package("kubectl port-forward", "socat", "socat"),
    Package("network of the node", "iproute2", "iproute"),
    Package("network checks of the kubelet", "ethtool", "ethtool"),
    Package("source checkouts", "git", "git"),
    Package("generated files of Kubernetes", "make", "make"),
    Package("C parts of the kubelet", "gcc", "gcc"),
    Package("headers for the C parts", "libc6-dev", "glibc-devel"),
)


@dataclass(frozen=True)
class Manager:
    """A package manager: its family, and its commands without the package names."""

    program: str
    family: Literal["apt", "rpm"]
    install: tuple[str, ...]
    remove: tuple[str, ...]
    refresh: tuple[str, ...] = ()

    def name(self, package: Package) -> str:
        """Return the name of a package in this package manager."""
        return package.apt if self.family == "apt" else package.rpm

    def names(self, runtime: Runtime) -> dict[str, str]:
        """Return the purpose of every package, by its name in this package manager."""
        return {self.name(package): package.why for package in (runtime.package, *PACKAGES)}


MANAGERS = (
    Manager(
        "apt-get",
        "apt",
        ("apt-get", "install", "--yes", "--no-install-recommends"),
        ("apt-get", "remove", "--yes"),
        ("apt-get", "update"),
    ),
    # strict=0: install the other packages if no repository has one of them, like yum.
    Manager(
        "dnf",
        "rpm",
        ("dnf", "install", "-y", "--setopt=strict=0"),
        ("dnf", "remove", "-y"),
    ),
    Manager("yum", "rpm", ("yum", "install", "-y"), ("yum", "remove", "-y")),
)


def epel_release(os_release: str, mirrors: Mirrors) -> str:
    """Return the package of EPEL for this system, a name or an address; empty if not applicable."""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', os_release, re.MULTILINE))
    if fields.get("ID") not in _ENTERPRISE:
        return ""
    file = f"epel-release-latest-{fields.get('VERSION_ID', '').partition('.')[0]}.noarch.rpm"
    if mirrors.epel:
        return f"{mirrors.epel.rstrip('/')}/epel/{file}"
    return f"{_EPEL}/{file}" if fields["ID"] in ("rhel", "ol") else "epel-release"


def install_commands(manager: Manager, missing: Iterable[str], epel: str = "") -> Iterator[Command]:
    """Yield the commands that install the missing packages."""
    names = tuple(missing)
    if not names:
        return
    if manager.refresh:
        yield Command(manager.refresh, "refresh the package lists")
    if epel:
        yield Command((*manager.install, epel), "add EPEL, which has some of the packages")
    yield Command((*manager.install, *names), "install the missing packages")


def enable_command(service: str) -> Command:
    """Return the command that enables and starts a service."""
    return Command(("systemctl", "enable", "--now", service), f"start {service} now and at boot")


def remove_commands(
    manager: Manager, names: Iterable[str], services: Iterable[str]
) -> Iterator[Command]:
    """Yield the commands that stop the services and remove the packages."""
    for service in services:
        yield Command(("systemctl", "disable", "--now", service), f"stop {service}")
    if packages := tuple(names):
        yield Command((*manager.remove, *packages), "remove the installed packages")
