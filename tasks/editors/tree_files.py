"""Editors' files in a tree: put there, told from what is the user's, and taken out again.

A journal in the instance's folder says what a tree was like before.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.core.errors import Failure
from tasks.editors import jsonc_edit, jsonc_parser
from tasks.editors.configurations import LAUNCH, LISTS, NEW_LAUNCH, OWN, PREFIX, excluded
from tasks.kubernetes.tree import GIT
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.run import run

JOURNAL = "ide.json"


@dataclass(frozen=True)
class Journal:
    """What a tree was like: what did not exist, launch.json without us, its digest with us."""

    made: tuple[str, ...] = ()
    before: str = ""
    after: str = ""


def restore(tree: Path, journal: Journal) -> None:
    """Take out of a tree what was put into it; what the user has there stays."""
    own, _ = exclude_file(tree)
    rest = {tree / LAUNCH: without_own_entries(tree / LAUNCH, journal)}
    if own is not None:
        rest[own] = excluded(read(own), tree, ())
    for path, text in rest.items():
        bare = "".join(text.split()) in ("", "".join(NEW_LAUNCH.split()))
        if bare and str(path) in journal.made:
            path.unlink(missing_ok=True)
        elif path.exists():
            put(path, text, tree)
    for name in OWN:
        (tree / name).unlink(missing_ok=True)
    for place in reversed(journal.made):
        with suppress(OSError):  # a file, or a folder in which something else lies by now
            Path(place).rmdir()


def without_own_entries(path: Path, journal: Journal) -> str:
    """Return launch.json as it was before us, with what the user has changed since."""
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        if not text.strip():
            return text
        if files.digest(text) == journal.after:
            return journal.before
        if str(path) in journal.made:
            return jsonc_edit.strip(text, LISTS, PREFIX, drop=LISTS)
        added = set(LISTS) - jsonc_edit.keys(journal.before) if journal.after else ()
        return jsonc_edit.strip(text, LISTS, PREFIX, drop=added)
    except UnicodeDecodeError as error:
        line, problem = error.object[: error.start].count(b"\n") + 1, "it is not UTF-8"
    except jsonc_parser.Damaged as error:
        line, problem = error.line, str(error)
    raise Failure(f"{path}:{line}: {problem}", "correct that line, or move the file away")


def exclude_file(tree: Path) -> tuple[Path | None, str]:
    """Return git's exclude file of a tree, and the tree's place in its repository, if it has one.

    An unpacked archive has none: nothing there could be seen as changed.
    """
    asked = ("rev-parse", "--git-path", "info/exclude", "--show-prefix")
    said = run(*GIT, *asked, cwd=tree, check=False)
    if said.code:
        return None, ""
    path, prefix = said.stdout.split("\n")[:2]
    return tree / path, prefix


def tracked(tree: Path, names: Iterable[str]) -> list[str]:
    """Return those of our files that git tracks: it shows their changes whatever we exclude."""
    asked = run(*GIT, "ls-files", "-z", "--", *names, cwd=tree, check=False)
    return asked.stdout.split("\0")[:-1]


def read(path: Path) -> str:
    """Return a file's text, every byte of which `put` writes again; empty when there is none."""
    return path.read_bytes().decode(errors="surrogateescape") if path.exists() else ""


def missing(path: Path) -> list[Path]:
    """Return what has to be made for a file, itself included."""
    return [place for place in (path, *path.parents) if not place.exists()]


def put(path: Path, text: str, tree: Path) -> bool:
    """Write a file where its links lead; it stays, or becomes, the property of the tree's owner."""
    path = path.resolve()
    about = (path if path.exists() else tree).stat()
    mode = stat.S_IMODE(about.st_mode) if path.exists() else 0o644
    places = {path, *missing(path)}
    if not files.write_if_changed(path, text.encode(errors="surrogateescape"), mode):
        return False
    for place in places:
        with suppress(PermissionError):
            os.chown(place, about.st_uid, about.st_gid)
    return True


def journals(settings: Settings) -> dict[str, Journal]:
    """Return the journal of every tree that this instance wrote to."""
    value = files.read_json(settings.paths.instance / JOURNAL) or {}
    return {
        tree: Journal(tuple(item["made"]), item["before"], item["after"])
        for tree, item in value.items()
    }


def save(settings: Settings, known: Mapping[str, Journal]) -> None:
    """Write the journals down; without any there is no file."""
    path = settings.paths.instance / JOURNAL
    if known:
        files.write_json(path, {tree: asdict(item) for tree, item in known.items()}, 0o600)
    else:
        path.unlink(missing_ok=True)
