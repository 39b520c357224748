"""Edits of a tree: whether the code of a module differs from the commit, for its version stamp.

A comment is no code: a binary that is the same as the one of the commit has the same stamp.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from tasks.build.file_table import is_source_name
from tasks.core.doit_run import once_per_run
from tasks.system import files, state
from tasks.system.git import Git

OPENAPI = "pkg/generated/openapi/zz_generated.openapi.go"
"""Ignored by git and missing up to 1.23; kube-apiserver does not compile without it."""
_TOKEN = re.compile(
    rb'"(?:\\.|[^"\\\n])*+"|`[^`]*+`|' + rb"'(?:\\.|[^'\\\n])*+'" + rb"|//[^\n]*|/\*.*?\*/",
    re.DOTALL,
)
"""Matches texts, runes and comments of Go. In a text, // does not start a comment."""
_DIRECTIVE = re.compile(rb"/[/*](?:line |export |extern |go:|\s*\+build)")
"""Matches comments that change what the compiler does."""


def is_edited(git: Git, digests: Mapping[str, str], kept: Path) -> bool:
    """Return whether the code of files with these digests differs from the commit.

    Files outside the repository do not count, nor files that git ignores. `kept`: see `committed`.
    """
    in_commit = committed(git, kept)
    changed = [path for path, digest in digests.items() if in_commit.get(path, digest) != digest]
    if any(_code_differs(git, path, in_commit[path]) for path in changed):
        return True
    folders = {path.rpartition("/")[0] for path in digests}
    if any(_is_deleted(git.folder, path, folders) for path in in_commit.keys() - digests.keys()):
        return True
    new = {path for path in digests if path not in in_commit and path[0] not in "/$"}
    new.discard(OPENAPI)
    if not new:
        return False
    listing = git.run("ls-files", "--others", "--exclude-standard", "-z", check=False).stdout
    return not new.isdisjoint(listing.split("\0"))


def code_of(content: bytes) -> bytes:
    """Return the content of a Go file with blanks for comments; code keeps its line and column.

    Lines after the last code are left out. Comments stay where they are directives, or are compiled
    as C.
    """
    if b'"C"' in content or b"`C`" in content:
        return content

    def blank(match: re.Match[bytes]) -> bytes:
        token = match[0]
        if token[:1] != b"/" or _DIRECTIVE.match(token) or not _is_text(token):
            return token
        return re.sub(rb"[^\n]", b" ", token)

    lines = (line.rstrip() for line in _TOKEN.sub(blank, content).split(b"\n"))
    return b"\n".join(lines).rstrip(b"\n")


def _is_text(token: bytes) -> bool:
    """Return whether go accepts the bytes in a comment."""
    try:
        return "\0" not in token.decode() and "\ufeff" not in token.decode()
    except UnicodeDecodeError:
        return False


@dataclass(frozen=True)
class _Commit:
    """The files of a commit: their blob digests by path."""

    commit: str
    blobs: dict[str, str]


@once_per_run
def committed(git: Git, kept: Path) -> Mapping[str, str]:
    """Return path -> blob digest of all files of the commit; `kept` has them for the next run."""
    commit = git.run("rev-parse", "HEAD").stdout.strip()
    known = state.load(kept, _Commit)
    if known and known.commit == commit:
        return known.blobs
    listing = git.run("ls-tree", "-r", "-z", "HEAD").stdout
    columns = (entry.partition("\t") for entry in listing.split("\0")[:-1])
    blobs = {path: kind.split()[2] for kind, _, path in columns}
    files.write(kept, json.dumps(vars(_Commit(commit, blobs))))
    return blobs


def _is_deleted(tree: Path, path: str, folders: Set[str]) -> bool:
    """Return whether a file of the commit that go could compile in one of the folders is gone."""
    folder, _, name = path.rpartition("/")
    return folder in folders and is_source_name(name) and not os.path.lexists(tree / path)


def _code_differs(git: Git, path: str, committed: str) -> bool:
    """Return whether the code of a file differs from a blob of the repository."""
    # git converts line ends and the like where the tree's attributes ask for it
    stored = git.run("hash-object", "--stdin-paths", stdin=f"{_quoted(path)}\n", check=False).stdout
    if stored.strip() == committed:
        return False
    if not path.endswith(".go"):
        return True
    content = (git.folder / path).read_bytes()
    old = git.run("cat-file", "blob", committed, check=False).stdout.encode(errors="replace")
    return code_of(content) != code_of(old)


def _quoted(path: str) -> str:
    """Return a path as git reads it from a line, also if the path has line breaks."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
