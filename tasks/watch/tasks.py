"""Task watch: build and restart on save, until Ctrl-C; the cluster keeps running then."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Never

from tasks.cli.task import ANSWER, action
from tasks.cluster import instance_lock
from tasks.components.registry import COMPONENTS
from tasks.core import console, doit_run
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files, lock_wait, process
from tasks.watch import rounds, source_files
from tasks.watch.source_files import SourceFiles

KUBECTL = "kubectl"
"""The module that is built for the user and that no component runs."""


@action
def watch(settings: Settings) -> None:
    """Build and restart components when their source files change, until a signal arrives.

    The first of the selected tasks does the work of all of them.
    """
    run = doit_run.current()
    selected = [name.partition(":")[2] for name in run.selected_with_dependencies("watch:")]
    names = [] if run.is_selected("watch") else selected
    with _only_watch(settings), _stoppable():
        modules = _modules(settings, names)
        _round(settings, names, modules)
        files_ = source_files.load(settings, modules)
        while True:
            files_ = _follow(settings, names, files_)


def _follow(settings: Settings, names: Sequence[str], files_: SourceFiles) -> SourceFiles:
    """Run a round per save until other folders are to be watched; return the new files."""
    folders, stamp = files_.all_folders(), _stamp(settings, files_)
    with source_files.changes(folders) as lists:
        console.say(
            f"watching {', '.join(files_.files)}: {len(folders)} folders; Ctrl-C stops the watch,"
            " the cluster keeps running"
        )
        for changed in lists:
            affected = files_.affected(changed)
            if affected:
                _round(settings, names, affected)
            if _stamp(settings, files_) == stamp:
                continue
            stamp = _stamp(settings, files_)
            files_ = source_files.load(settings, _modules(settings, names))
            if files_.all_folders() != folders:
                return files_
    raise AssertionError  # the iterator never ends


def _round(settings: Settings, names: Sequence[str], modules: Sequence[str]) -> None:
    """Build and restart what uses these modules, and print one line."""
    running = [name for name in _components(settings, names) if _module(settings, name) in modules]
    others = [module for module in modules if module == KUBECTL]
    if not running and not others:
        console.say(f"{_clock()}  {', '.join(modules)}: not running, nothing was built")
        return
    with instance_lock.exclusive(settings):
        pass  # another run starts or stops this instance: the round waits for it
    console.progress(f"{', '.join([*running, *others])} ...")
    console.say(f"{_clock()}  {rounds.run(settings, running, others).line()}")


def _components(settings: Settings, names: Sequence[str]) -> list[str]:
    """Return the components that run, or died, and whose binary stepkube builds."""
    return [
        name
        for name in names or COMPONENTS
        if _module(settings, name) and process.load(settings.paths.run, name) is not None
    ]


def _module(settings: Settings, name: str) -> str | None:
    return COMPONENTS[name].built_module(settings)


def _modules(settings: Settings, names: Sequence[str]) -> list[str]:
    """Return the modules to watch. Raises Failure if no component runs, or none is built."""
    if settings.build.output:
        raise Failure(
            f"build.output: the binaries come from {settings.build.output}, so a save builds none",
            "unset build.output",
        )
    modules = {_module(settings, name): None for name in _components(settings, names)}
    if not modules:
        what = f"{', '.join(names)} is not running" if names else "no component is running"
        raise Failure(what, "run: doit up")
    if not names and settings.paths.built(KUBECTL).is_file():
        modules[KUBECTL] = None
    return [module for module in modules if module]


def _stamp(settings: Settings, files_: SourceFiles) -> list[int]:
    """Return what changes when a run records another tree or other source files."""
    paths = [settings.paths.lock, *(settings.paths.sources(module) for module in files_.files)]
    return [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]


@contextmanager
def _only_watch(settings: Settings) -> Iterator[None]:
    """Refuse a second watch of this instance: both would restart the same components."""
    descriptor = files.open_lock(settings.paths.run / "watch.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holders = ", ".join(lock_wait.holders(descriptor)) or "another run"
        os.close(descriptor)
        raise Failure(
            f"instance {settings.name} is watched already by {holders}",
            "stop that watch with Ctrl-C, or watch another instance (STEPKUBE_INSTANCE)",
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Exit with 128 and the number of the signal when one stops the watch."""
    received: list[int] = []

    def stop(number: int, _: object) -> Never:
        received.append(number)
        raise KeyboardInterrupt  # watchfiles raises it too, whatever the handler raised

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        yield
    except KeyboardInterrupt:
        console.say("the watch stopped; the cluster keeps running")
        sys.exit(128 + received[0])


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def task_watch(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that watches its source files; `watch` watches all."""
    yield {"name": None, "doc": "build and restart on save what changed, until Ctrl-C"}
    for name, spec in COMPONENTS.items():
        if spec.module is not None:
            yield {
                "name": name,
                "doc": f"build and restart {name} when its source files are saved, until Ctrl-C",
                "actions": [(watch, [settings])],
                "uptodate": [False],
                "meta": ANSWER,
            }
