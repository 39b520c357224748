"""Origin: the distribution's source package, fetched by apt from the package mirror."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tasks.checkout.base import (
    NO_DATE,
    TREE_GIB,
    NoSuchVersion,
    Unreachable,
    commit_everything,
    slug,
    start_repository,
)
from tasks.core.errors import Failure
from tasks.kubernetes.releases import is_minor, newest
from tasks.kubernetes.tree import Checkout, require_kubernetes
from tasks.settings.load import Settings
from tasks.system import files, resources, unpack
from tasks.system.git import Git


class DebianPackage:
    """The distribution's source package, fetched by apt with private options."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"the source package {settings.origin.apt}"

    def checkout(self, requested: str) -> Checkout:
        """Fetch, unpack and patch the package, and import it into a git repository."""
        from tasks.system.apt import Archive  # noqa: PLC0415 - only Debian and its relatives have apt

        package = self.settings.origin.apt
        try:
            archive = Archive(self.settings, ())
            archive.update()
        except Failure as failure:
            raise Unreachable(failure.message, failure.hint) from failure
        versions = archive.source_versions(package)
        if not versions:
            raise NoSuchVersion(f"the distribution has no source package {package}")
        offered = {upstream_version(version): version for version in reversed(versions)}
        chosen = upstream_version(versions[0]) if requested == "auto" else requested
        if is_minor(requested):
            chosen = newest(requested, offered)
        if chosen not in offered:
            raise NoSuchVersion(f"it has {', '.join(offered)}, not {requested}")
        folder = self.settings.paths.source / f"{chosen}-{slug(package)}"
        with files.locked(self.settings.paths.source / ".package.lock"):
            if not (folder / "cmd").is_dir():
                resources.require_disk(self.settings.paths.home, TREE_GIB, "the Kubernetes source")
                downloads = self.settings.paths.cache / "apt-source" / slug(offered[chosen])
                try:
                    dsc = archive.fetch_source(package, offered[chosen], downloads)
                except Failure as failure:
                    raise Unreachable(failure.message, failure.hint) from failure
                _unpack(dsc, folder)
                shutil.rmtree(downloads, ignore_errors=True)
        require_kubernetes(folder, self.name)
        commit = Git(folder).run("rev-parse", "HEAD").stdout.strip()
        origin = f"{self.name} {offered[chosen]}"
        stamp = self.settings.build.version_stamp or chosen
        return Checkout(folder, stamp, commit, origin, requested)


def upstream_version(version: str) -> str:
    """Return the Kubernetes release of a Debian version.

    1.20.5+really1.20.2-1 is v1.20.2 (Debian returned to this release), 1.36.4+ds-1 is v1.36.4.
    """
    release = re.match(r"[0-9.]+(~[a-z]+[0-9.]+)?", version.rpartition("+really")[2])
    return f"v{release[0].replace('~', '-')}" if release else version


def _unpack(dsc: Path, folder: Path) -> None:
    """Unpack a 3.0 (quilt) source package, apply its patches and commit the result."""
    with files.staged(folder) as staging:
        for archive in sorted(dsc.parent.glob("*.orig.tar.*")):
            unpack.extract(archive, staging, strip=1)
        for archive in dsc.parent.glob("*.debian.tar.*"):
            unpack.extract(archive, staging, strip=0)
        _git_import(staging, dsc)


def _git_import(tree: Path, dsc: Path) -> None:
    """Apply the patches of the package and commit the tree with a fixed date."""
    series = tree / "debian" / "patches" / "series"
    names = series.read_text(errors="replace").splitlines() if series.is_file() else []
    start_repository(tree)
    for name in names:
        patch = name.split(" ")[0]
        if patch and not patch.startswith("#"):
            Git(tree).run("apply", "--whitespace=nowarn", f"debian/patches/{patch}")
    commit_everything(Git(tree), f"Import {dsc.stem}", NO_DATE)
