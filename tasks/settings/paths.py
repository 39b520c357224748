"""Paths: folders and files of the workspace, which instances share, and of the instance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Failure


def user_path(text: str | Path) -> Path:
    """Return a path from the user as an absolute path, with ~ expanded."""
    return expanded(text).absolute()


def expanded(text: str | Path) -> Path:
    """Return a path with ~ expanded. Raises Failure for a user without a home folder."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        user = str(text).partition("/")[0]
        raise Failure(f"{text}: {user} has no home folder", "write the full path") from error


@dataclass(frozen=True)
class Paths:
    """All folders and files of the workspace."""

    home: Path
    """The workspace, which all instances share (STEPKUBE_HOME)."""
    instance: Path
    """The instance's private folder."""
    certs: Path
    """Certificates, keys and kubeconfigs (certs.dir)."""
    logs: Path
    """Logs of the components (logs.dir)."""
    etcd: Path
    """etcd's data (etcd.dir)."""
    config: Path
    """Rendered configuration files of the components (start.config_dir)."""

    @property
    def toolchain(self) -> Path:
        """Go, etcd, Delve and CNI plugins, one folder per version."""
        return self.home / "toolchain"

    @property
    def source(self) -> Path:
        """Checked-out trees, one folder per version."""
        return self.home / "src"

    @property
    def binaries(self) -> Path:
        """Built binaries, one folder per content digest."""
        return self.home / "bin"

    @property
    def cache(self) -> Path:
        """Downloads and Go's caches: all of it can be deleted and is downloaded or built again."""
        return self.home / "cache"

    @property
    def mirror(self) -> Path:
        """File with the checked mirrors that downloads use."""
        return self.home / "mirror.json"

    @property
    def lock(self) -> Path:
        """Lock file of the checkout: the origin and version that this instance uses."""
        return self.instance / "origin.lock"

    @property
    def bundle(self) -> Path:
        """Record of the bundle that this instance imported, and of its content."""
        return self.instance / "bundle.json"

    @property
    def kubeconfigs(self) -> Path:
        """Folder of the kubeconfigs: that of the certificates, as in upstream's script."""
        return self.certs

    @property
    def run(self) -> Path:
        """Records of running processes, and locks."""
        return self.instance / "run"

    @property
    def swap(self) -> Path:
        """Journals of debug swaps."""
        return self.instance / "swap"

    def sources(self, module: str) -> Path:
        """Source digests of a module: the digest of each of its source files."""
        return self.instance / "build" / f"{module}.sources"

    def built(self, module: str) -> Path:
        """Record of a module's newest binary."""
        return self.instance / "build" / f"{module}.json"

    def tool(self, name: str) -> Path:
        """Record of a tool (go, etcd, delve, cni) that this instance uses."""
        return self.instance / "toolchain" / f"{name}.json"

    def kubeconfig(self, name: str) -> Path:
        """Path of one kubeconfig, for example `admin`."""
        return self.kubeconfigs / f"{name}.kubeconfig"

    def log(self, component: str) -> Path:
        """Path of a component's log."""
        return self.logs / f"{component}.log"


def absolute(value: str) -> str:
    """Return a path from the user as absolute text; empty text stays empty."""
    return str(user_path(value)) if value else ""


def user_files(*values: str) -> tuple[Path, ...]:
    """Return paths from the user as absolute paths, without the empty ones."""
    return tuple(Path(absolute(value)) for value in values if value)
