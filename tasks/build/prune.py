"""Evicts the least recently used binaries beyond build.keep GiB."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.cli.task import action
from tasks.core import console
from tasks.settings.load import Settings
from tasks.system import files, process, resources, state


def folders_in_use(settings: Settings) -> set[Path]:
    """Return the folders of binaries that any instance has recorded as current or runs."""
    folders = set()
    for record in settings.paths.home.glob("instances/*/build/*.json"):
        built = state.load(record, dict[str, str], lambda value: "path" in value)
        if built is not None:
            folders.add(Path(built["path"]).parent)
    for record in settings.paths.home.glob("instances/*/run/*.json"):
        running = process.load(record.parent, record.stem)
        if running is not None and running.alive():
            folders.add(Path(running.exe).parent)
    return folders


@contextmanager
def prune_lock(settings: Settings) -> Iterator[None]:
    """Hold the lock that keeps binaries from removal, while the block finds and records one."""
    with files.locked(settings.paths.cache / "prune.lock"):
        yield


def prune(settings: Settings) -> int:
    """Remove the oldest unused binaries until the rest fits build.keep; return the bytes freed."""
    with prune_lock(settings):
        return _prune(settings, folders_in_use(settings))


def _prune(settings: Settings, in_use: Collection[Path]) -> int:
    sizes = {
        folder: sum(file.lstat().st_size for file in folder.iterdir())
        for folder in settings.paths.binaries.glob("[!.]*")
    }
    oldest_first = sorted(
        sizes, key=lambda folder: max((f.lstat().st_mtime for f in folder.iterdir()), default=0)
    )
    total, removed = sum(sizes.values()), 0
    for folder in oldest_first:
        if total - removed <= settings.build.keep * resources.GIB:
            break
        if folder not in in_use:
            shutil.rmtree(folder)
            removed += sizes[folder]
    for link in settings.paths.binaries.glob("[!.]*/*"):  # to a binary that is removed now
        if link.is_symlink() and not link.exists():
            link.unlink()
    return removed


@action
def run(settings: Settings) -> None:
    """Prune and report the GiB that were freed."""
    with files.locked(settings.paths.cache / "build.lock"):
        removed = prune(settings)
    console.note(f"{removed / resources.GIB:.1f} GiB freed, the limit is {settings.build.keep} GiB")


def task_prune(settings: Settings) -> dict[str, Any]:
    """Return the task that removes the least recently used binaries."""
    return {
        "doc": "remove the oldest unused binaries beyond build.keep GiB",
        "actions": [(run, [settings])],
        "uptodate": [False],
    }
