"""Table of the files and folders that a build reads: digests, read again only after a change.

A change shows in the state of a file: its times, its size, its inode. Git is not asked: it can be
told to overlook files that go compiles.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tasks.system import files, state

FORMAT = 1
FEW = 50
"""Number of files that are read again in less time than the table takes to write."""
SOURCE_SUFFIXES = (
    *(".go", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx"),
    *(".f", ".F", ".for", ".f90", ".s", ".S", ".sx", ".syso", ".swig", ".swigcxx"),
)
"""Suffixes of the files that go compiles in a package; see `go help packages`."""
MODULE_FILES = ("go.mod", "go.sum", "go.work", "go.work.sum", "vendor/modules.txt")
"""Files that say where go finds packages."""
FOLDER_MARKS = ("go.mod", "vendor")
"""Names that change where go finds the packages of a folder."""
_TAG = re.compile(rb"\+k8s:(?:deepcopy|defaulter|conversion|openapi|prerelease-lifecycle)-gen")
"""Matches the comments for which upstream's generators read a package."""
_COMMENT = rb"//[^\n]*|/\*.*?\*/"
_STRING = rb'"[^"\n]*"|`[^`]*`'
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:[\s;]+|" + _COMMENT + rb"|package\s+\w+"
    rb"|import\s*\((?:[^()\"`/]|" + _STRING + rb"|" + _COMMENT + rb")*+\)"
    rb"|import\s*(?:[\w.]+\s*)?(?:" + _STRING + rb"))*+(?=(?:func|type|var|const)\b|\Z)",
    re.DOTALL,
)
"""Matches a Go file up to its first declaration that is not an import."""
_DIRECTIVE = re.compile(rb"^.*//go:(?:embed|debug|build).*$", re.MULTILINE)

State = list[int]
"""Time of the last write in ns, size, inode, and time of the last change in ns."""
ABSENT: State = [0, 0, 0, 0]
UNKNOWN: State = [-1, 0, 0, 0]
"""State of a file that may have been written again since it was read, within one clock tick."""


@dataclass
class FileTable:
    """Known files and folders of one tree, by path; see `look`."""

    path: Path
    """The file that keeps the table between runs."""
    files: dict[str, tuple[State, str, str, bool]] = field(default_factory=dict)
    """State, git blob digest, digest of the part that go list reads, whether generators read it.

    The digests are empty for a file that does not exist.
    """
    folders: dict[str, tuple[State, str]] = field(default_factory=dict)
    """State, and digest of the names that count. A path that ends with / counts all its names."""
    serial: str = ""
    """Differs from the serial of each earlier content of the table."""
    _saved_serial: str = ""
    _read: int = 0
    """Number of files and folders read since the table was saved."""

    def look(self) -> None:
        """Read all known files and folders again whose state changed."""
        get = os.stat
        for path, (known, _, _, _) in self.files.items():
            try:  # the same as state_of, without a call per file
                now = get(path)
                same = known == [now.st_mtime_ns, now.st_size, now.st_ino, now.st_ctime_ns]
            except OSError:
                same = known == ABSENT
            if not same:
                self._read_file(path)
        for path, (known, _) in self.folders.items():
            if state_of(path) != known:
                self._read_folder(path)

    def add(self, paths: Iterable[str], folders: Iterable[str]) -> None:
        """Read files and folders that are not known yet."""
        for path in paths:
            if path not in self.files:
                self._read_file(path)
        for path in folders:
            if path not in self.folders:
                self._read_folder(path)

    def states(self, paths: Iterable[str]) -> list[State]:
        """Return the states of known files: they differ after each write."""
        return [self.files[path][0] for path in paths]

    def has_changed_since(self, moment: int, paths: Iterable[str], folders: Iterable[str]) -> bool:
        """Return whether a known file or folder may have changed after a time in ns."""
        states = [self.files[path][0] for path in paths]
        states += [self.folders[path][0] for path in folders]
        return any(known == UNKNOWN or _is_recent(known, moment) for known in states)

    def save(self) -> None:
        """Keep the table for later runs, unless it takes less time to read a few files again."""
        if self.serial != self._saved_serial or self._read > FEW:
            value = vars(_Saved(FORMAT, self.serial, self.files, self.folders))
            files.write(self.path, json.dumps(value, separators=(",", ":")))
            self._saved_serial, self._read = self.serial, 0

    def _read_file(self, path: str) -> None:
        """Read a file. Raises OSError if it exists and cannot be read."""
        moment = time.time_ns()
        seen = state_of(path)
        content = Path(path).read_bytes() if seen != ABSENT else b""
        digest, head = ("", "") if seen == ABSENT else (blob_digest(content), head_of(content))
        if not path.endswith(".go"):
            is_read = path.endswith((*SOURCE_SUFFIXES, *MODULE_FILES))
            head = digest if is_read else digest[:1] and "exists"
        self._changed(path in self.files and self.files[path][1:][:2] == (digest, head))
        if _is_recent(seen, moment) or state_of(path) != seen:
            seen = UNKNOWN
        self.files[path] = (seen, digest, head, _TAG.search(content) is not None)

    def _read_folder(self, path: str) -> None:
        moment = time.time_ns()
        seen = state_of(path)
        names = _names(path) if seen != ABSENT else ""
        self._changed(path in self.folders and self.folders[path][1] == names)
        if _is_recent(seen, moment) or state_of(path) != seen:
            seen = UNKNOWN
        self.folders[path] = (seen, names)

    def _changed(self, equal: bool) -> None:
        self._read += 1
        if not equal:
            self.serial = os.urandom(8).hex()


@dataclass(frozen=True)
class _Saved:
    """A table in its file."""

    format: int
    serial: str
    files: dict[str, tuple[State, str, str, bool]]
    folders: dict[str, tuple[State, str]]


def opened(path: Path) -> FileTable:
    """Return the table that an earlier run saved, with what changed since read again.

    It is empty if there is none.
    """
    known = state.load(path, _Saved, lambda saved: saved.format == FORMAT, large=True)
    if known is None:
        return FileTable(path)
    table = FileTable(path, known.files, known.folders, known.serial, known.serial)
    table.look()
    return table


def state_of(path: str) -> State:
    """Return the state of a file or folder, of the target for a link; ABSENT if there is none."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - a Path per file takes as long as the call
    except OSError:
        return ABSENT
    return [stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_ctime_ns]


def blob_digest(content: bytes) -> str:
    """Return the digest of a content as git names it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def head_of(content: bytes) -> str:
    """Return the digest of what `go list` reads in a Go file: package, imports, directives.

    It is the digest of all of the file if C is compiled with it, or if its start is unusual.
    """
    match = _HEAD.match(content)
    if match is None or b'"C"' in match[0] or b"`C`" in match[0]:
        return _short(content)
    return _short(b"\n".join([match[0], *_DIRECTIVE.findall(content, match.end())]))


def is_source_name(name: str) -> bool:
    """Return whether go can compile a file with this name, in a build without tests."""
    return (
        name.endswith(SOURCE_SUFFIXES)
        and not name.startswith(("_", "."))
        and not name.endswith("_test.go")
    )


def source_names(folder: str) -> list[str]:
    """Return the sorted names of files in a folder that go can compile."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if is_source_name(entry.name) and (entry.is_symlink() or entry.is_file())
        )


def _names(folder: str) -> str:
    """Return the digest of the real path of a folder and of the names in it that count."""
    if folder.endswith("/"):
        names = sorted(os.listdir(folder))  # noqa: PTH208
    else:
        names = source_names(folder)
        names += [name for name in FOLDER_MARKS if os.path.lexists(f"{folder}/{name}")]
    return _short("\n".join([os.path.realpath(folder), *names]).encode(errors="surrogateescape"))


def _is_recent(seen: State, moment: int) -> bool:
    """Return whether a file with this state can be written after `moment` and keep its state.

    The kernel sets the ctime (the last number) at each change. The clock of a file system ticks
    every few milliseconds; some keep only (even) seconds.
    """
    changed = seen[3]
    tick = 2_100_000_000 if changed % 1_000_000_000 == 0 else 50_000_000
    return changed + tick > moment


def _short(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()[:16]
