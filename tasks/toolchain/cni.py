"""CNI plugins: built from their Go module, or a release archive whose digest the user knows."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tasks.core.errors import Failure
from tasks.gomod.release import Release, dotted, require_release
from tasks.kubernetes.tool_record import Tool
from tasks.settings.load import Settings
from tasks.system import download, files
from tasks.system.resources import architecture
from tasks.toolchain import go_install

MODULE = "github.com/containernetworking/plugins"
PLUGINS = {
    "bridge": "main/bridge",
    "host-local": "ipam/host-local",
    "loopback": "main/loopback",
    "portmap": "meta/portmap",
}


def requested_version(settings: Settings) -> dict[str, str]:
    """Return what decides which plugins are made: a release and a digest, both may be empty."""
    digest = getattr(settings.node, f"cni_plugins_{architecture()}_sha256sum", "")
    return {"version": settings.node.cni_plugins_version, "digest": digest}


def make(settings: Settings) -> Tool:
    """Return the plugins the user asks for, else the newest that can be built."""
    asked, digest = requested_version(settings).values()
    if not asked:
        version = go_install.newest(settings, "cni", MODULE)
    else:
        version = require_release(asked, settings.source("node.cni_plugins_version"))
    if digest:
        return _unpacked(settings, version, digest.lower())
    packages = {name: f"{MODULE}/plugins/{path}" for name, path in PLUGINS.items()}
    return go_install.build(settings, "cni", MODULE, version, packages)


def _unpacked(settings: Settings, version: Release, digest: str) -> Tool:
    """Fetch a release archive, compare its digest, and take the plugins that are used."""
    name = f"cni-plugins-linux-{architecture()}-v{dotted(version)}.tgz"
    home = settings.paths.toolchain / f"cni-{dotted(version)}-{digest[:16]}"
    archive = settings.paths.cache / name
    with files.locked(settings.paths.toolchain / ".cni.lock"):
        if not home.is_dir():
            origin = download.fetch(
                [f"{base}/v{dotted(version)}/{name}" for base in settings.mirror.cni],
                archive,
                verify=lambda path: _verify(path, digest),
                timeout=settings.mirror.timeout,
                ca_bundle=settings.mirror.ca_bundle,
                key="mirror.cni",
            )
            try:
                with files.staged(home) as making:
                    _unpack(archive, making)
                    files.write(making / "origin", origin)
            finally:
                archive.unlink(missing_ok=True)
    return Tool("cni", dotted(version), home, None, (home / "origin").read_text())


def _verify(path: Path, digest: str) -> None:
    found = files.digest_file(path)
    if found != digest:
        raise Failure(
            f"the archive of CNI plugins has the digest {found}, and {digest} was asked for",
            "correct CNI_PLUGINS_VERSION or the digest",
        )


def _unpack(archive: Path, folder: Path) -> None:
    """Write the plugins of an archive to a folder, whatever else and wherever they are in it."""
    with tarfile.open(archive, "r:gz") as packed:
        for member in packed:
            name = Path(member.name).name
            stream = packed.extractfile(member) if member.isfile() and name in PLUGINS else None
            if stream:
                files.write(folder / name, stream.read(), 0o755)
    lacks = [name for name in PLUGINS if not (folder / name).is_file()]
    if lacks:
        raise Failure(f"{archive.name} has no {' and no '.join(lacks)}")
