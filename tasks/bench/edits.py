"""Edits of source files for a benchmark; each one is undone, also after a kill."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files, signals, state


@dataclass(frozen=True)
class Edit:
    """An edit of a file; the journal has the same keys."""

    path: str
    before: str
    after: str
    mtime: int
    """Time of the file before the edit, in nanoseconds."""


def _journal(settings: Settings) -> Path:
    return settings.paths.cache / "bench-edit.json"


@contextmanager
def appended(settings: Settings, path: Path, text: str) -> Iterator[None]:
    """Append a text to a file for the block; the file gets its content and times back.

    A journal is written first, so that `undo` works after a kill.
    """
    undo(settings)
    before = _read(path)
    after = before + text
    edit = Edit(str(path), before, after, path.stat().st_mtime_ns)
    files.write_json(_journal(settings), asdict(edit))
    try:
        _write(path, after)
        yield
    finally:
        with signals.deferred():
            undo(settings)


def undo(settings: Settings) -> None:
    """Undo the edit in the journal, if there is one.

    Raises Failure if the file was edited by somebody else since: that edit is kept.
    """
    journal = _journal(settings)
    edit = state.load(journal, Edit)
    if edit is None:
        return
    path = Path(edit.path)
    current = _read(path)
    # a kill can have cut off the write of either text; `after` begins with `before`
    if not edit.after.startswith(current):
        files.remove(journal)
        raise Failure(
            f"{path} was edited during the benchmark, which had appended some lines to it",
            "remove the lines with `stepkube bench` from the end of the file",
        )
    if current != edit.before:
        _write(path, edit.before)
        os.utime(path, ns=(edit.mtime, edit.mtime))
    files.remove(journal)


def _read(path: Path) -> str:
    return path.read_bytes().decode("latin-1")  # every byte, and line ends as they are


def _write(path: Path, text: str) -> None:
    """Write in place: a symbolic or hard link stays one, and the mode stays."""
    path.write_bytes(text.encode("latin-1"))


def undo_leftover(settings: Settings) -> None:
    """Undo the edit that a killed benchmark left in the tree, and say so."""
    if _journal(settings).is_file():
        undo(settings)
        console.warn("a benchmark was killed: its edit of the tree is undone now")
