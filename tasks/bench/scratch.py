"""Scratch workspace of a benchmark: its own instance, binaries and Go cache, for the same tree.

Its Go cache has hard links to the files of the user's, so it costs no disk and no second build. The
user's cluster, binaries and caches stay as they are. The tree is used in place, because go compiles
everything again in another folder; edits.py undoes the edits.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.bench import measure
from tasks.bench.measure import Sample
from tasks.core.errors import Failure
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings import load
from tasks.settings.load import ROOT, Settings
from tasks.settings.table import table
from tasks.system import files, state

INSTANCE = "bench"
TRIM = "trim.txt"
"""File in Go's cache with the time at which go last removed old entries."""
_LINKED = ("toolchain", "src", "cache/gomod", "cache/downloads", "cache/git", "cache/sumdb")
"""Folders of the workspace that a build reads and does not change."""


@dataclass(frozen=True)
class Scratch:
    """A scratch workspace."""

    settings: Settings
    """Settings of its instance."""
    user: Settings
    """Settings of the user's instance."""
    checkout: Checkout

    def doit(self, *words: str) -> tuple[Sample, str]:
        """Run doit in the scratch workspace; return its times and its output."""
        return doit(self.environ(), *self.arguments(), *words)

    def time(self, *words: str) -> Sample:
        """Run doit in the scratch workspace; return its times."""
        return self.doit(*words)[0]

    def arguments(self) -> list[str]:
        """Return the settings of the scratch workspace for the command line of doit."""
        return _arguments(self.checkout)

    def environ(self) -> dict[str, str]:
        """Return the environment of doit in the scratch workspace."""
        return _environ(self.settings.paths.home)


def doit(environ: Mapping[str, str], *words: str) -> tuple[Sample, str]:
    """Run doit in this environment; return its times and its output."""
    return measure.command(sys.executable, "-m", "doit", *words, cwd=ROOT, env=environ)


@contextmanager
def workspace(user: Settings, *, name: str, cold: bool = False) -> Iterator[Scratch]:
    """Make a scratch workspace for the block, and remove it afterwards; `cold`: no Go cache."""
    checkout = load_checkout(user.paths.lock)
    home = user.paths.cache / "bench" / name
    with files.locked(user.paths.cache / f"bench-{name}.lock"):
        _remove(home)  # of a killed benchmark
        try:
            _fill(user, home, cold=cold)
            arguments = dict(word.split("=", 1) for word in _arguments(checkout))
            settings = load.load(_environ(home), arguments)
            yield Scratch(settings, user, checkout)
        finally:
            _remove(home)


def _remove(home: Path) -> None:
    """Stop the cluster of a scratch workspace and remove it; not what its links lead to."""
    if home.is_dir():
        doit(_environ(home), f"instance={INSTANCE}", "down")
        shutil.rmtree(home)
    with suppress(OSError):  # another scratch workspace is in it
        home.parent.rmdir()


def _fill(user: Settings, home: Path, *, cold: bool) -> None:
    for name in _LINKED:
        target = user.paths.home / name
        if target.is_dir():
            files.link(home / name, target.resolve())
    instance = home / "instances" / INSTANCE
    instance.mkdir(parents=True)
    if user.paths.mirror.is_file():
        shutil.copy2(user.paths.mirror, home / user.paths.mirror.name)
    tools = user.paths.instance / "toolchain"
    if tools.is_dir():
        shutil.copytree(tools, instance / "toolchain")
    if cold:
        return
    if (user.paths.cache / "gobuild").is_dir():
        _link_files(user.paths.cache / "gobuild", home / "cache/gobuild")
    for record in (user.paths.instance / "build").glob("*.json"):
        built = state.load(record, dict[str, str], lambda value: "path" in value)
        folder = Path(built["path"]).parent if built else home
        if folder.parent == user.paths.binaries and folder.is_dir():
            # a hard link would change the ctime, by which a binary is known to be intact
            shutil.copytree(folder, home / "bin" / folder.name, dirs_exist_ok=True)


def _link_files(source: Path, target: Path) -> None:
    """Copy a folder of Go's cache with hard links: go writes only new files.

    It writes a known entry again only with the same content. TRIM is the exception.
    """
    try:
        shutil.copytree(source, target, copy_function=os.link, ignore=lambda *_: {TRIM})
    except (OSError, shutil.Error) as error:
        raise Failure(
            f"cannot make hard links to {source} in {target}: {error}",
            "set STEPKUBE_HOME to a folder on a file system that has hard links",
        ) from error


def _arguments(checkout: Checkout) -> list[str]:
    """Return settings that lead to the user's tree; the cluster has the control plane only."""
    return [
        f"version={checkout.version}",
        f"build.version_stamp={checkout.version}",
        "origin.order=path",
        f"origin.path={checkout.tree}",
        f"instance={INSTANCE}",
        "start.mode=nokubelet",
    ]


def _environ(home: Path) -> dict[str, str]:
    """Return the environment with the defaults of all settings except those of mirrors.

    Ports and folders that the user set belong to the user's cluster.
    """
    mine = {row.env for row in table() if not (row.ambient or row.key.startswith("mirror."))}
    kept = {name: value for name, value in os.environ.items() if name not in mine}
    return {**kept, "STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull}
