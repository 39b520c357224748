"""The origin that is a Go module proxy: a release in a few dozen megabytes, verified.

The module k8s.io/kubernetes leaves out the modules of staging/, which are published one by one
under the same number (v1.30.2 and v0.30.2), and vendor/, which a build then fetches as go does.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

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
from tasks.system import download, files, resources

MODULE = "k8s.io/kubernetes"
OLDEST = Minor(1, 24)
"""Minor whose trees carry all generated code; an older one makes it of what vendor/ has."""
_SAMPLES = "k8s.io/sample-"
_STAGED = re.compile(r"^\s*(?:replace )?(k8s\.io/[\w.-]+) => \./(staging/\S+)$", re.MULTILINE)


class ModuleProxy:
    """The releases of Kubernetes that a Go module proxy has."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = "the Go module proxy"

    def checkout(self, wanted: str) -> Checkout:
        """Fetch the module and those of staging, and make a git repository of them."""
        version = self._newest(wanted) if wanted == "auto" or is_minor(wanted) else wanted
        if not is_version(version) or parse(version) < OLDEST:
            raise NoSuchVersion(f"it has releases from v{OLDEST}.0 on, not {wanted}")
        folder = self.settings.paths.source / f"{version}-modules"
        with files.locked(self.settings.paths.source / ".modules.lock"):
            if not (folder / "cmd").is_dir():
                self._make(version, folder)
        stamp = self.settings.build.version_stamp or version
        return Checkout(folder, stamp, stated_commit(folder), self.name, wanted)

    def _newest(self, wanted: str) -> str:
        try:
            listed = goproxy.releases(self.settings, MODULE)
        except Failure as failure:
            raise Unreachable(failure.message, failure.hint) from failure
        found = newest(wanted, (f"v{dotted(release)}" for release in listed))
        if not found:
            what = "no release" if wanted == "auto" else f"no release of {wanted}"
            raise NoSuchVersion(f"it lists {what}")
        return found

    def _make(self, version: str, folder: Path) -> None:
        """Put a tree together beside its place, commit it and give it its name."""
        info = self._info(version)
        resources.require_disk(self.settings.paths.home, TREE_GIB, "the Kubernetes source")
        with files.staged(folder) as making:
            self._take(MODULE, version, making)
            require_kubernetes(making, self.name)
            staged = _STAGED.findall((making / "go.mod").read_text())
            for number, (module, place) in enumerate(staged, 1):
                console.progress(f"{module}, {number} of {len(staged)} modules")
                self._stage(module, version.replace("v1.", "v0.", 1), making / place)
            shutil.rmtree(making / "vendor", ignore_errors=True)  # a list of what is not there
            _say_which(making, version, info)
            start_repository(making)
            commit_everything(making, f"Import {MODULE} {version}", info["Time"])

    def _info(self, version: str) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(
                goproxy.read(self.settings, f"{MODULE}/@v/{version}.info")
            )
        except Failure as failure:
            kind = NoSuchVersion if download.is_not_found(failure.message) else Unreachable
            raise kind(failure.message, failure.hint) from failure
        return {"Time": NO_DATE, **told}

    def _stage(self, module: str, version: str, folder: Path) -> None:
        """Put a module of staging into its place; a sample may be left out, nothing needs it."""
        try:
            self._take(module, version, folder)
        except Failure as failure:
            if not download.is_not_found(failure.message):
                raise
            if not module.startswith(_SAMPLES):
                raise NoSuchVersion(failure.message, failure.hint) from failure
            console.say(f"  {module} {version} is not to be had: left out")
            files.write(folder / "go.mod", f"module {module}\n")

    def _take(self, module: str, version: str, folder: Path) -> None:
        """Put the files of a module into a folder. Raises Failure when they are not verified."""
        archive, _ = modzip.fetch(self.settings, module, version)
        modzip.unpack(archive, f"{module}@{version}/", folder, lambda _, begin: begin == b"#!")
        archive.unlink()


def _say_which(tree: Path, version: str, info: dict[str, Any]) -> None:
    """Write tag and commit where `git archive` does, when the proxy knows the commit."""
    commit = info.get("Origin", {}).get("Hash", "")
    if re.fullmatch("[0-9a-f]{40}", commit):
        script, text = tree / VERSION_SCRIPT, version_script(tree)
        for form, told in {"%%": "%", "%H": commit, "%D": f"tag: {version}"}.items():
            text = text.replace(f"$Format:{form}$", told)
        script.write_text(text)
