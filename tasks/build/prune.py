"""Keeps the built binaries within their size limit: those used longest ago go first."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.cli.task import action
from tasks.core import console
from tasks.settings.load import Settings
from tasks.system import files, process, resources


def used(settings: Settings) -> set[Path]:
    """Return the folders whose binary an instance has as its newest, or runs."""
    found = set()
    for record in settings.paths.home.glob("instances/*/build/*.json"):
        value = files.read_json(record)
        if value:
            found.add(Path(value["path"]).parent)
    for record in settings.paths.home.glob("instances/*/run/*.json"):
        known = process.load(record.parent, record.stem)
        if known is not None and known.alive():
            found.add(Path(known.exe).parent)
    return found


@contextmanager
def prune_lock(settings: Settings) -> Iterator[None]:
    """Keep every binary in its place for the block, in which one is found and written down."""
    with files.locked(settings.paths.cache / "prune.lock"):
        yield


def prune(settings: Settings, spare: Collection[Path] = ()) -> int:
    """Remove the oldest unused binaries until the rest is within build.keep; return the bytes.

    `spare` are folders of binaries that are about to be used.
    """
    with prune_lock(settings):
        return _prune(settings, {*used(settings), *spare})


def _prune(settings: Settings, kept: Collection[Path]) -> int:
    sizes = {
        folder: sum(file.stat().st_size for file in folder.iterdir())
        for folder in settings.paths.binaries.glob("[!.]*")
    }
    oldest_first = sorted(
        sizes, key=lambda folder: max((f.stat().st_mtime for f in folder.iterdir()), default=0)
    )
    total, removed = sum(sizes.values()), 0
    for folder in oldest_first:
        if total - removed <= settings.build.keep * resources.GIB:
            break
        if folder not in kept:
            shutil.rmtree(folder)
            removed += sizes[folder]
    return removed


@action
def run(settings: Settings) -> None:
    """Prune, and say what that freed."""
    with files.locked(settings.paths.cache / "build.lock"):
        removed = prune(settings)
    console.note(
        f"{removed / resources.GIB:.1f} GiB freed, {settings.build.keep} GiB are kept at the most"
    )


def task_prune(settings: Settings) -> dict[str, Any]:
    """Return the task that removes binaries nobody used for long."""
    return {
        "doc": "remove the oldest binaries beyond build.keep gigabytes",
        "actions": [(run, [settings])],
        "uptodate": [False],
    }
