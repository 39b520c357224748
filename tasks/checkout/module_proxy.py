"""Origin: a Go module proxy, which has a release in a few dozen megabytes, verified.

The Go module k8s.io/kubernetes has no staging/ and no vendor/. The Go modules of staging/ are
published one by one with the same number (v1.30.2 and v0.30.2). The build fetches those of vendor/.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tasks.checkout.base import (
    NO_DATE,
    TREE_GIB,
    VERSION_SCRIPT,
    NoSuchVersion,
    Unreachable,
    commit_everything,
    start_repository,
    stated_commit,
    version_script,
)
from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod import goproxy, modzip
from tasks.gomod.release import dotted
from tasks.kubernetes.facts import Minor, parse
from tasks.kubernetes.releases import is_minor, newest
from tasks.kubernetes.tree import Checkout, is_version, require_kubernetes
from tasks.settings.load import Settings
from tasks.system import download, files, resources, state
from tasks.system.damage import DamagedError
from tasks.system.git import Git

MODULE = "k8s.io/kubernetes"
OLDEST = Minor(1, 24)
"""First minor whose trees have all generated code; older ones generate it with tools of vendor/."""
_SAMPLES = "k8s.io/sample-"
_STAGED = re.compile(r"^\s*(?:replace )?(k8s\.io/[\w.-]+) => \./(staging/\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class _Origin:
    """The repository that a proxy read a release from; the fields are JSON keys."""

    Hash: str = ""


@dataclass(frozen=True)
class _Info:
    """The content of an .info file; the fields are its JSON keys."""

    Time: str = NO_DATE
    Origin: _Origin | None = None


class ModuleProxy:
    """The Kubernetes releases of a Go module proxy."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = "the Go module proxy"

    def checkout(self, requested: str) -> Checkout:
        """Fetch k8s.io/kubernetes and the Go modules of staging/ into a new git repository."""
        choose = requested == "auto" or is_minor(requested)
        version = self._newest(requested) if choose else requested
        if not is_version(version) or parse(version) < OLDEST:
            raise NoSuchVersion(f"it has releases from v{OLDEST}.0 on, not {requested}")
        folder = self.settings.paths.source / f"{version}-modules"
        with files.locked(self.settings.paths.source / ".modules.lock"):
            if not (folder / "cmd").is_dir():
                self._fetch_tree(version, folder)
        stamp = self.settings.build.version_stamp or version
        return Checkout(folder, stamp, stated_commit(folder), self.name, requested)

    def _newest(self, requested: str) -> str:
        try:
            listed = goproxy.releases(self.settings, MODULE)
        except Failure as failure:
            raise Unreachable(failure.message, failure.hint) from failure
        version = newest(requested, (f"v{dotted(release)}" for release in listed))
        if not version:
            minor = "" if requested == "auto" else f" of {requested}"
            raise NoSuchVersion(f"it lists no release{minor}")
        return version

    def _fetch_tree(self, version: str, folder: Path) -> None:
        """Fetch all Go modules of a tree and commit it; the folder is renamed when complete."""
        info = self._info(version)
        resources.require_disk(self.settings.paths.home, TREE_GIB, "the Kubernetes source")
        with files.staged(folder) as staging:
            self._fetch_module(MODULE, version, staging)
            require_kubernetes(staging, self.name)
            staged = _STAGED.findall((staging / "go.mod").read_text(errors="replace"))
            for number, (module, path) in enumerate(staged, 1):
                if ".." in path.split("/"):
                    raise Failure(f"the go.mod of {MODULE} {version} has the path {path}")
                console.progress(f"{module}, {number} of {len(staged)} modules")
                self._fetch_staged(module, version.replace("v1.", "v0.", 1), staging / path)
            # vendor/ has only the list of its Go modules, not their code
            shutil.rmtree(staging / "vendor", ignore_errors=True)
            _write_version(staging, version, info)
            start_repository(staging)
            commit_everything(Git(staging), f"Import {MODULE} {version}", info.Time)

    def _info(self, version: str) -> _Info:
        """Return the proxy's .info file of a release (https://go.dev/ref/mod#goproxy-protocol)."""
        try:
            text = goproxy.read(self.settings, f"{MODULE}/@v/{version}.info")
        except Failure as failure:
            kind = NoSuchVersion if isinstance(failure, download.NotFound) else Unreachable
            raise kind(failure.message, failure.hint) from failure
        try:
            return state.parse(text, _Info)
        except DamagedError as error:
            raise Unreachable(
                f"the .info file of {MODULE} {version} is wrong: {error}",
                "set mirror.goproxy to another proxy",
            ) from error

    def _fetch_staged(self, module: str, version: str, folder: Path) -> None:
        """Fetch a Go module of staging/; a missing sample is omitted, since no build needs it."""
        try:
            self._fetch_module(module, version, folder)
        except Failure as failure:
            if not isinstance(failure, download.NotFound):
                raise
            if not module.startswith(_SAMPLES):
                raise NoSuchVersion(failure.message, failure.hint) from failure
            console.say(f"  {module} {version} was not found: omitted")
            files.write(folder / "go.mod", f"module {module}\n", 0o644)

    def _fetch_module(self, module: str, version: str, folder: Path) -> None:
        """Fetch the files of a Go module into a folder. Raises Failure if the digest is wrong."""
        archive, _ = modzip.fetch(self.settings, module, version)
        modzip.unpack(archive, f"{module}@{version}/", folder, lambda _, begin: begin == b"#!")
        archive.unlink()


def _write_version(tree: Path, version: str, info: _Info) -> None:
    """Write tag and commit as `git archive` does, if the proxy's .info file has the commit."""
    commit = info.Origin.Hash if info.Origin else ""
    if re.fullmatch("[0-9a-f]{40}", commit):
        script, text = tree / VERSION_SCRIPT, version_script(tree)
        for form, value in {"%%": "%", "%H": commit, "%D": f"tag: {version}"}.items():
            text = text.replace(f"$Format:{form}$", value)
        script.write_text(text)
