"""Changes files of the host, restores them byte for byte, and stores the journal of host changes.

The backup is the original file itself under a second name, so content, mode, owner, times and
labels stay the same. First the journal is written, then the backup is made, then the new file
replaces the old one. After an interruption at any point, a file has its old or its new content.
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
from tasks.host.plan import Change, HostFile
from tasks.system import files, state

SUFFIX = ".stepkube.bak"


@dataclass(frozen=True)
class Entry:
    """Journal entry of a changed file."""

    before: str
    """Digest of the original content."""
    ours: tuple[str, ...]
    """Digests of all contents that stepkube wrote."""


@dataclass(frozen=True)
class Journal:
    """Changes that stepkube made to the host (host.json)."""

    files: Mapping[str, Entry] = field(default_factory=dict)
    """Changed files by path."""
    manager: str = ""
    """Package manager that installed `packages`."""
    packages: tuple[str, ...] = ()
    """Installed packages."""
    services: tuple[str, ...] = ()
    """Enabled systemd services."""
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Argv that closes the port again, by port number."""

    def without(self, path: str) -> Journal:
        """Return the journal without a file."""
        entries = {key: entry for key, entry in self.files.items() if key != path}
        return replace(self, files=entries)


def load(home: Path) -> Journal:
    """Return the journal of a workspace; empty if nothing has been changed."""
    effect = f"the originals of changed files are next to them (NAME{SUFFIX})"
    return state.load(home / "host.json", Journal, effect=effect) or Journal()


def save(home: Path, journal: Journal) -> None:
    """Write the journal; remove its file if it is empty."""
    if journal == Journal():
        files.remove(home / "host.json")
    else:
        files.write_json(home / "host.json", asdict(journal))


def backup_of(path: Path) -> Path:
    """Return the path of the backup of a file."""
    return path.with_name(path.name + SUFFIX)


def find_files(
    root: Path, patterns: Iterable[str], journal: Journal
) -> tuple[list[HostFile], list[str]]:
    """Return the files below `root` that may be changed, and the reasons why others may not."""
    found: list[HostFile] = []
    skipped: list[str] = []
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        if path.is_symlink() or not path.is_file():
            skipped.append(f"{path}: not a regular file")
            continue
        content, backup = path.read_bytes(), backup_of(path)
        original = backup.read_bytes() if backup.is_file() else content
        entry = journal.files.get(str(path))
        if content == original or (entry and files.digest(content) in entry.ours):
            found.append(HostFile(path, content, original))
        else:
            skipped.append(_edited(path))
    return found, skipped


def apply(home: Path, change: Change) -> None:
    """Write the new content of a file; if it is the original content, restore the original file."""
    path, backup, journal = change.path, backup_of(change.path), load(home)
    if backup.is_file() and backup.read_bytes() == change.after:
        _restore(path, backup)
        return save(home, journal.without(str(path)))
    entry = journal.files.get(str(path))
    if entry is None or not backup.is_file():
        entry = Entry(files.digest(change.before), ())
    entry = replace(entry, ours=(*entry.ours, files.digest(change.after)))
    save(home, replace(journal, files={**journal.files, str(path): entry}))
    if not backup.is_file():
        os.link(path, backup)
    original = backup.stat()
    files.write(path, change.after, stat.S_IMODE(original.st_mode))
    os.chown(path, original.st_uid, original.st_gid)
    return None


def restore(home: Path, *, dry_run: bool = False) -> list[str]:
    """Restore every file that was not edited since, and return one line per file."""
    lines = []
    for name, entry in load(home).files.items():
        path, backup = Path(name), backup_of(Path(name))
        digest = files.digest(path.read_bytes()) if path.is_file() else ""
        ours = digest in (*entry.ours, entry.before)
        if backup.is_file() and not ours:
            lines.append(f"kept: {_edited(path)}")
            continue
        if backup.is_file():
            lines.append(f"restored: {path}")
        elif digest != entry.before:
            lines.append(f"kept: {path}: its backup {backup} does not exist")
        if not dry_run:
            if backup.is_file():
                _restore(path, backup)
            save(home, load(home).without(name))
    return lines


def require_writable(paths: Iterable[Path], *task: str) -> None:
    """Raise Failure if a file cannot be replaced; the hint runs `task`, a doit argv, as root."""
    for path in paths:
        if not os.access(path.parent, os.W_OK):
            command = shlex.join(["sudo", "-E", sys.executable, "-m", "doit", *task])
            raise Failure(f"{path}: only root can change this file", f"run: {command}")


def _edited(path: Path) -> str:
    return f"{path}: edited since doit mirror changed it; the original is {backup_of(path)}"


def _restore(path: Path, backup: Path) -> None:
    # rename(2) does nothing if both names are links to the same file
    if path.exists() and path.samefile(backup):
        backup.unlink()
    else:
        backup.replace(path)
