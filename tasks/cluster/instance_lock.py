"""Lock of an instance: several runs may start components at the same time, or one `down` runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.core import doit_run
from tasks.core.doit_run import once_per_run
from tasks.settings.load import Settings
from tasks.system import files

NAME = "instance.lock"


class _Handle:
    """The open lock file of this run; it is closed, and the lock released, with the run."""

    def __init__(self, path: Path) -> None:
        self.descriptor = files.open_lock(path)

    def __del__(self) -> None:
        os.close(self.descriptor)


@once_per_run
def _handle(path: Path) -> _Handle:
    return _Handle(path)


def share(settings: Settings) -> None:
    """Wait for a running `down`; from now on a `down` waits until this run exits."""
    path = settings.paths.run / NAME
    files.lock(_handle(path).descriptor, path, shared=True)


def share_in_run(settings: Settings) -> None:
    """Share the lock if doit runs tasks; `doit list` and `doit info` do not wait."""
    if doit_run.current().selected:
        share(settings)


def release(settings: Settings) -> None:
    """Let a `down` run, though this run continues."""
    fcntl.flock(_handle(settings.paths.run / NAME).descriptor, fcntl.LOCK_UN)


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Wait until no other run starts or stops this instance, and keep others waiting."""
    path = settings.paths.run / NAME
    files.lock(_handle(path).descriptor, path)
    try:
        yield
    finally:
        release(settings)
