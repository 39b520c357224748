"""Which packages the node path and the build need, by the names each manager has for them."""

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
    """A package, by the names that Debian's and Red Hat's families have for it."""

    why: str
    apt: str
    rpm: str


@dataclass(frozen=True)
class Runtime:
    """What a container runtime comes in, the service that systemd starts of it, and its program.

    Where the program is there it came in another package, such as docker-ce, that would be removed.
    """

    package: Package
    service: str
    program: str


RUNTIMES = {
    "remote": Runtime(
        Package("container runtime", "containerd", "containerd"), "containerd", "containerd"
    ),
    "docker": Runtime(Package("container runtime", "docker.io", "docker"), "docker", "dockerd"),
}
"""By node.container_runtime; no distribution has rkt any more."""
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
    Package("headers for them", "libc6-dev", "glibc-devel"),
)


@dataclass(frozen=True)
class Manager:
    """A package manager: its family, and its commands before the names of packages."""

    program: str
    family: Literal["apt", "rpm"]
    install: tuple[str, ...]
    remove: tuple[str, ...]
    refresh: tuple[str, ...] = ()

    def name(self, package: Package) -> str:
        """Return what a package is called here."""
        return package.apt if self.family == "apt" else package.rpm

    def names(self, runtime: Runtime) -> dict[str, str]:
        """Return every package by its name here, with what it is for."""
        return {self.name(one): one.why for one in (runtime.package, *PACKAGES)}


MANAGERS = (
    Manager(
        "apt-get",
        "apt",
        ("apt-get", "install", "--yes", "--no-install-recommends"),
        ("apt-get", "remove", "--yes"),
        ("apt-get", "update"),
    ),
    # What no repository has is named afterwards, the rest is installed; yum does so by itself.
    Manager(
        "dnf",
        "rpm",
        ("dnf", "install", "-y", "--setopt=strict=0"),
        ("dnf", "remove", "-y"),
    ),
    Manager("yum", "rpm", ("yum", "install", "-y"), ("yum", "remove", "-y")),
)


def epel_release(os_release: str, mirrors: Mirrors) -> str:
    """Return what installs EPEL on this system, by name or address; empty where it is no use."""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', os_release, re.MULTILINE))
    if fields.get("ID") not in _ENTERPRISE:
        return ""
    file = f"epel-release-latest-{fields.get('VERSION_ID', '').partition('.')[0]}.noarch.rpm"
    if mirrors.epel:
        return f"{mirrors.epel.rstrip('/')}/epel/{file}"
    return f"{_EPEL}/{file}" if fields["ID"] in ("rhel", "ol") else "epel-release"


def installing(manager: Manager, missing: Iterable[str], epel: str = "") -> Iterator[Command]:
    """Yield the commands that install what is missing."""
    names = tuple(missing)
    if not names:
        return
    if manager.refresh:
        yield Command(manager.refresh, "refresh the lists")
    if epel:
        yield Command((*manager.install, epel), "EPEL, which has some of them")
    yield Command((*manager.install, *names), "install what is missing")


def starting(service: str) -> Command:
    """Return the command that enables a service and starts it."""
    return Command(("systemctl", "enable", "--now", service), f"start {service} now and at boot")


def removing(manager: Manager, names: Iterable[str], services: Iterable[str]) -> Iterator[Command]:
    """Yield the commands that undo an installation."""
    for service in services:
        yield Command(("systemctl", "disable", "--now", service), f"stop {service}")
    if packages := tuple(names):
        yield Command((*manager.remove, *packages), "remove what was installed")
