"""Changes files of the host so that each can be had back byte for byte, and keeps the journal.

The backup is the original file itself under a second name: content, mode, owner, times and labels
are the ones it had. The journal is written first, then the backup is made, then the new file takes
the old one's name; cut off anywhere between, a file is either as it was or as wanted.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tasks.core.errors import Failure
from tasks.host.plan import Change, Found
from tasks.system import files

SUFFIX = ".stepkube.bak"


@dataclass(frozen=True)
class Entry:
    """A file that was changed: the digests of its original and of all that was written since."""

    before: str
    ours: tuple[str, ...]


@dataclass(frozen=True)
class Journal:
    """What was done to the host; `ports` has the command that closes each one again."""

    files: Mapping[str, Entry] = field(default_factory=dict)
    manager: str = ""
    packages: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def without(self, path: str) -> Journal:
        """Return the journal without a file."""
        return replace(self, files={key: at for key, at in self.files.items() if key != path})


def load(home: Path) -> Journal:
    """Read the journal; an empty one when nothing was done yet."""
    value = files.read_json(home / "host.json")
    if value is None:
        return Journal()
    return Journal(
        {path: Entry(item["before"], tuple(item["ours"])) for path, item in value["files"].items()},
        value["manager"],
        tuple(value["packages"]),
        tuple(value["services"]),
        {port: tuple(command) for port, command in value["ports"].items()},
    )


def save(home: Path, journal: Journal) -> None:
    """Write the journal; an empty one is no file."""
    if journal == Journal():
        (home / "host.json").unlink(missing_ok=True)
    else:
        files.write_json(home / "host.json", asdict(journal))


def backup_of(path: Path) -> Path:
    """Return where the original of a file is kept."""
    return path.with_name(path.name + SUFFIX)


def look(root: Path, patterns: Iterable[str], journal: Journal) -> tuple[list[Found], list[str]]:
    """Return the files below `root`, and why some of them are left alone."""
    found: list[Found] = []
    left: list[str] = []
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        if path.is_symlink() or not path.is_file():
            left.append(f"{path}: not a regular file")
            continue
        now, backup = path.read_bytes(), backup_of(path)
        original = backup.read_bytes() if backup.is_file() else now
        entry = journal.files.get(str(path))
        if now == original or (entry and files.digest(now) in entry.ours):
            found.append(Found(path, now, original))
        else:
            left.append(f"{path}: edited since it was changed here; its original is {backup}")
    return found, left


def apply(home: Path, change: Change) -> None:
    """Give a file its new content; going back to the original content puts the original back."""
    path, backup, journal = change.path, backup_of(change.path), load(home)
    if backup.is_file() and backup.read_bytes() == change.after:
        _put_back(path, backup)
        return save(home, journal.without(str(path)))
    known = journal.files.get(str(path))
    if known is None or not backup.is_file():
        known = Entry(files.digest(change.before), ())
    entry = replace(known, ours=(*known.ours, files.digest(change.after)))
    save(home, replace(journal, files={**journal.files, str(path): entry}))
    if not backup.is_file():
        os.link(path, backup)
    was = backup.stat()
    files.write(path, change.after, stat.S_IMODE(was.st_mode))
    os.chown(path, was.st_uid, was.st_gid)
    return None


def restore(home: Path, *, dry_run: bool = False) -> list[str]:
    """Put back every original whose file is still as it was left; say what became of each."""
    said = []
    for name, entry in load(home).files.items():
        path, backup = Path(name), backup_of(Path(name))
        now = files.digest(path.read_bytes()) if path.is_file() else ""
        ours = now in (*entry.ours, entry.before)
        if backup.is_file() and not ours:
            said.append(f"left alone: {path}: edited since; its original is {backup}")
            continue
        if backup.is_file():
            said.append(f"restored: {path}")
        elif now != entry.before:
            said.append(f"left alone: {path}: its backup {backup} is gone")
        if not dry_run:
            if backup.is_file():
                _put_back(path, backup)
            save(home, load(home).without(name))
    return said


def require_writable(paths: Iterable[Path], *words: str) -> None:
    """Raise Failure, with the command that would be allowed to, unless all can be replaced."""
    for path in paths:
        if not os.access(path.parent, os.W_OK):
            again = shlex.join(["sudo", "-E", sys.executable, "-m", "doit", *words])
            raise Failure(f"{path} may only be changed by root", again)


def _put_back(path: Path, backup: Path) -> None:
    """Give the original its name back; rename(2) does nothing where both are one file already."""
    if path.exists() and path.samefile(backup):
        backup.unlink()
    else:
        backup.replace(path)
