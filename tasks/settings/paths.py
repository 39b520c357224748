"""Where everything lies: the workspace, shared by all instances, and each instance's own folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def user_path(text: str | Path) -> Path:
    """Return a path the user wrote as an absolute one, with ~ replaced."""
    return Path(text).expanduser().absolute()


@dataclass(frozen=True)
class Paths:
    """Every folder and file of the workspace; `home` is shared, `instance` is not.

    `config` holds the rendered configuration files of the components.
    """

    home: Path
    instance: Path
    certs: Path
    logs: Path
    etcd: Path
    config: Path

    @property
    def toolchain(self) -> Path:
        """Go, etcd, Delve and CNI plugins, one folder per version."""
        return self.home / "toolchain"

    @property
    def source(self) -> Path:
        """Checked out trees, one folder per version."""
        return self.home / "src"

    @property
    def binaries(self) -> Path:
        """Built binaries, one folder per content digest."""
        return self.home / "bin"

    @property
    def cache(self) -> Path:
        """Downloads and Go's caches: all that can be removed and made again."""
        return self.home / "cache"

    @property
    def mirror(self) -> Path:
        """The resolved mirrors, as the download steps use them."""
        return self.home / "mirror.json"

    @property
    def lock(self) -> Path:
        """Which origin and version this instance took."""
        return self.instance / "origin.lock"

    @property
    def bundle(self) -> Path:
        """Which bundle this instance took over, and what it brought."""
        return self.instance / "bundle.json"

    @property
    def kubeconfigs(self) -> Path:
        """Folder of the kubeconfigs, beside the certificates as upstream has it."""
        return self.certs

    @property
    def run(self) -> Path:
        """Records of running components, and locks."""
        return self.instance / "run"

    @property
    def swap(self) -> Path:
        """Journals of debug swaps."""
        return self.instance / "swap"

    def sources(self, module: str) -> Path:
        """Digest manifest of a module's source files."""
        return self.instance / "build" / f"{module}.sources"

    def built(self, module: str) -> Path:
        """Record of a module's newest binary."""
        return self.instance / "build" / f"{module}.json"

    def tool(self, name: str) -> Path:
        """Record of the tool (go, etcd, delve, cni) this instance uses."""
        return self.instance / "toolchain" / f"{name}.json"

    def kubeconfig(self, name: str) -> Path:
        """Path of one kubeconfig, for example `admin`."""
        return self.kubeconfigs / f"{name}.kubeconfig"

    def log(self, component: str) -> Path:
        """Path of a component's log."""
        return self.logs / f"{component}.log"


def absolute(value: str) -> str:
    """Return a file the user names, independent of the working directory; empty stays empty."""
    return str(user_path(value)) if value else ""


def user_files(*values: str) -> tuple[Path, ...]:
    """Return the files the user names, without those not named."""
    return tuple(Path(absolute(value)) for value in values if value)
