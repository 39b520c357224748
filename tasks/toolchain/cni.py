"""CNI plugins: built from their Go module, or unpacked from a release archive of known digest."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from tasks.core.errors import Failure
from tasks.gomod.release import Release, dotted, require_release
from tasks.kubernetes.tool_record import Tool, origin_of
from tasks.settings.load import Settings
from tasks.system import download, files, sealed, unpack
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
    """Return the requested version of the plugins and the digest of its archive, or empty texts."""
    digest = getattr(settings.node, f"cni_plugins_{architecture()}_sha256sum", "")
    return {"version": settings.node.cni_plugins_version, "digest": digest}


def make(settings: Settings) -> Tool:
    """Return the plugins of the requested version, else of the newest version that can be built.

    With a digest they come from a release archive, else they are built.
    """
    requested, digest = requested_version(settings).values()
    if not requested:
        version = go_install.newest(settings, "cni", MODULE)
    else:
        version = require_release(requested, settings.source("node.cni_plugins_version"))
    if digest:
        return _from_archive(settings, version, digest.lower())
    packages = {name: f"{MODULE}/plugins/{path}" for name, path in PLUGINS.items()}
    return go_install.build(settings, "cni", MODULE, version, packages)


def _from_archive(settings: Settings, version: Release, digest: str) -> Tool:
    """Fetch a release archive, check its digest, and unpack the plugins in PLUGINS."""
    name = f"cni-plugins-linux-{architecture()}-v{dotted(version)}.tgz"
    home = settings.paths.toolchain / f"cni-{dotted(version)}-{digest[:16]}"
    archive = settings.paths.cache / name
    with files.locked(settings.paths.toolchain / ".cni.lock"):
        if not all(sealed.is_intact(home / plugin) for plugin in PLUGINS):
            origin = download.fetch(
                [f"{base}/v{dotted(version)}/{name}" for base in settings.mirror.cni],
                archive,
                verify=lambda path: _verify(path, digest),
                timeout=settings.mirror.timeout,
                ca_bundle=settings.mirror.ca_bundle,
                key="mirror.cni",
            )
            try:
                with files.staged(home) as staging:
                    _unpack(archive, staging)
                    files.write(staging / "origin", origin)
                    shutil.rmtree(home, ignore_errors=True)
            finally:
                archive.unlink(missing_ok=True)
    return Tool("cni", dotted(version), home, None, origin_of(home, "origin"))


def _verify(path: Path, digest: str) -> None:
    actual = files.digest_file(path)
    if actual != digest:
        raise Failure(
            f"the archive of the CNI plugins has the digest {actual}, not {digest}",
            f"correct CNI_PLUGINS_VERSION or CNI_PLUGINS_{architecture().upper()}_SHA256SUM",
        )


def _unpack(archive: Path, folder: Path) -> None:
    """Write the plugins of an archive to a folder; their folder in the archive does not matter."""
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for member in packed:
                name = Path(member.name).name
                stream = packed.extractfile(member) if member.isfile() and name in PLUGINS else None
                if stream:
                    files.write(folder / name, stream.read(), 0o755)
                    sealed.seal(folder / name)
    except unpack.DAMAGED as error:
        raise Failure(
            f"{archive.name} is damaged or not a tar archive: {error}",
            "set CNI_PLUGINS_VERSION to another release, or mirror.cni to another address",
        ) from error
    missing = [name for name in PLUGINS if not (folder / name).is_file()]
    if missing:
        raise Failure(
            f"{archive.name} has no {' and no '.join(missing)}",
            "set CNI_PLUGINS_VERSION to another release",
        )
