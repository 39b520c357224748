"""Tasks `bundle` (write a bundle) and `unbundle` (import one before the checkout)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.bundle import read, write
from tasks.cli.task import Check, action, option
from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.kubernetes import bundle_record
from tasks.settings.load import Settings


@action
def unbundle(settings: Settings, names: list[str] | None) -> Any:
    """Import the bundle given on the command line, or else the one in origin.bundle.

    Without a bundle it does nothing, except if the user ran `unbundle` itself: this is an error.
    """
    if names and len(names) > 1:
        raise Failure(
            f"unbundle: expected one file, got {len(names)}",
            f"run: doit unbundle {shlex.quote(names[0])}",
        )
    place = names[0] if names else settings.origin.bundle
    if not place and not doit_run.current().is_selected("unbundle"):
        return None
    return read.import_bundle(settings, place)


def is_imported(settings: Settings) -> bool:
    """Whether the bundle of the settings was imported, and the imported tree still exists."""
    place = settings.origin.bundle
    if doit_run.current().is_selected("unbundle"):
        return False
    if not place:
        return True
    record, path = bundle_record.read(settings), read.find_bundle(place)
    if record is None:
        return False
    known = {"file": record["file"], "size": record["size"], "changed": record["changed"]}
    same = known == read.state(path) if path.is_file() else known["file"] == str(path)
    return same and Path(record["checkout"]["tree"]).is_dir()


def task_bundle(settings: Settings) -> dict[str, Any]:
    """Return the task that writes a bundle."""
    return {
        "doc": "write a bundle: one file with everything for `doit up` without network",
        "actions": [(write.make, [settings])],
        "task_dep": ["checkout", "toolchain", "generated"],
        "uptodate": [False],
        "params": [
            option(
                "output",
                "file to write; its .sha256 is written next to it"
                " (default: stepkube-VERSION-ARCHITECTURE.tar.gz in the current folder)",
                "",
            ),
            option(
                "binaries", "include the built binaries, so that the other machine compiles nothing"
            ),
        ],
    }


def task_unbundle(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the task that imports a bundle."""
    yield {
        "basename": "unbundle",
        "doc": "verify a bundle and import its tools, source and binaries: doit unbundle FILE",
        "actions": [(unbundle, [settings])],
        "pos_arg": "names",
        "uptodate": [Check("the bundle was imported", is_imported, (settings,))],
        "meta": {"quiet": True},
    }
