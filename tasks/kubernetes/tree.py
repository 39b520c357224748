"""A Kubernetes source tree: its lock file, its version, and the digests of its files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.system import state
from tasks.system.git import Git

LARGE = 64 << 20
"""Bytes that a source file does not have: the largest of Kubernetes has 6 MiB."""
_LFS = b"version https://git-lfs.github.com/spec/"
_SEMVER = re.compile(r"v(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


@dataclass(frozen=True)
class Checkout:
    """The source tree that an instance is built from."""

    tree: Path
    version: str
    commit: str
    origin: str
    requested: str
    """The version that the user requested."""
    repository: str = ""
    """Git folder in the workspace, for a tree without a repository."""
    state: str = ""
    """The tree's state (clean, dirty, archive) if a file names it; empty if git decides."""

    @property
    def git(self) -> Git:
        """Git in the tree."""
        return Git(self.tree, self.repository)

    @property
    def minor(self) -> Minor:
        """The Kubernetes minor of the version."""
        match = _SEMVER.fullmatch(self.version)
        if match is None:
            raise Failure(
                f"{self.tree}: {self.version!r} is not a Kubernetes version",
                "set build.version_stamp, for example to v1.30.0",
            )
        return Minor(int(match[1]), int(match[2]))


def is_version(text: str) -> bool:
    """Return whether a text is a complete version such as v1.20.2."""
    return _SEMVER.fullmatch(text) is not None


def load_checkout(lock: Path) -> Checkout:
    """Read the checkout of an instance from its lock file. Raises Failure if there is none yet."""
    checkout = state.load(lock, Checkout, lambda found: found.tree.is_absolute())
    if checkout is None:
        raise Failure("there is no checkout yet", "run: doit checkout")
    return checkout


def is_source(path: Path) -> bool:
    """Return whether a path can be source code: not a disk image, a pipe or a private file."""
    with suppress(OSError):
        size = path.lstat().st_size
        kind = path.is_file() or path.is_dir()
        return path.is_symlink() or (kind and size <= LARGE and os.access(path, os.R_OK))
    return False


def require_kubernetes(tree: Path, where: str) -> None:
    """Raise Failure if a folder is not a Kubernetes source tree; `where` begins the message."""
    if not (tree / "cmd" / "kube-apiserver").is_dir():
        raise Failure(
            f"{where}: {tree} is not a Kubernetes source tree (it has no cmd/kube-apiserver)",
            "use the top folder of a complete checkout",
        )
    for source in (tree / "cmd" / "kube-apiserver").glob("*.go"):
        if source.read_bytes().startswith(_LFS):
            raise Failure(
                f"{where}: {tree} has Git LFS pointers instead of files ({source.name})",
                "run `git lfs pull` in a clone of it, and set origin.path to that clone",
            )


def guess_version(tree: Path, commit: str) -> str:
    """Return the version of a tree whose commit has no release tag.

    The minor comes from the constant DefaultKubeBinaryVersion (in trees of 1.31 and newer), else
    from the newest change log. Before 1.10 one CHANGELOG.md described all minors; newer trees have
    a list of links in that file. Raises Failure if the tree has none of these.
    """
    base = tree / "staging/src/k8s.io/component-base/version/base.go"
    if base.is_file():
        match = re.search(r'DefaultKubeBinaryVersion\s*=\s*"(\d+\.\d+)"', base.read_text())
        if match:
            return f"v{match[1]}.0-alpha.0+{commit[:12]}"
    logs = [*tree.glob("CHANGELOG/CHANGELOG-1.*.md"), *tree.glob("CHANGELOG-1.*.md")]
    newest = max((_log_minor(log) for log in logs), default=None)
    if newest is not None:
        log = next(log for log in logs if _log_minor(log) == newest)
        tag = re.search(rf"^# (v1\.{newest}\.[0-9A-Za-z.-]+)", log.read_text(), re.MULTILINE)
        return f"{tag[1] if tag else f'v1.{newest}.0-alpha.0'}+{commit[:12]}"
    old = tree / "CHANGELOG.md"
    text = old.read_text(errors="replace") if old.is_file() and not old.is_symlink() else ""
    tags = re.findall(r"^# (v1\.\d+\.\d+\S*)", text, re.MULTILINE)
    if tags:
        return f"{max(tags, key=lambda tag: int(tag.split('.')[1]))}+{commit[:12]}"
    raise Failure(
        f"{tree}: no file of the tree names its Kubernetes version",
        "set build.version_stamp, for example to v1.30.0",
    )


def _log_minor(log: Path) -> int:
    return int(log.stem.rpartition(".")[2])


@dataclass(frozen=True)
class Snapshot:
    """The files of a worktree at one moment; see `snapshot`."""

    git: Git
    tracked: Mapping[str, str]
    """Blob digest in git's index by path, without the deleted files."""
    changed: frozenset[str]
    """Edited and untracked files."""
    _hashed: dict[str, str] = field(default_factory=dict)

    def digests(self, folders: Set[str], embedded: Set[str]) -> str:
        """Return `digest  path` lines of the files that a build of these packages can see.

        `folders` are the folders of the packages, `embedded` those with files for go:embed. Tests
        are left out: editing one must not rebuild a component. The Go module files always count. An
        untracked file counts if Go can compile or embed it: others can be large or unreadable.
        """

        def counts(path: str) -> bool:
            folder, _, name = path.rpartition("/")
            if path in MODULE_FILES or folder not in folders or name.endswith("_test.go"):
                return path in MODULE_FILES
            return path in self.tracked or folder in embedded or name.endswith(SOURCE_SUFFIXES)

        blobs = self.blobs({path for path in (*self.tracked, *self.changed) if counts(path)})
        return "".join(f"{blobs[path]}  {path}\n" for path in sorted(blobs))

    def blobs(self, paths: Set[str]) -> dict[str, str]:
        """Return path -> blob digest of these files; only changed files are read, and only once."""
        unread = sorted(path for path in paths & self.changed if path not in self._hashed)
        if unread:
            listed = "".join(f"{_quoted(path)}\n" for path in unread)
            words = ("hash-object", "--stdin-paths")
            hashes = self.git.run(*words, stdin=listed).stdout.split()
            self._hashed.update(zip(unread, hashes, strict=True))
        return {path: self._hashed.get(path) or self.tracked[path] for path in paths}


def snapshot(git: Git) -> Snapshot:
    """Return the files of a worktree as they are now; it costs one look at git's index."""
    index = git.run("ls-files", "--stage", "-z").stdout
    digests: dict[str, str] = {}
    for entry in index.split("\0")[:-1]:
        columns, _, path = entry.partition("\t")
        digests[path] = columns.split()[1]
    changed, deleted = changed_files(git)
    for path in deleted:
        digests.pop(path, None)
    return Snapshot(git, digests, frozenset(changed))


def _quoted(path: str) -> str:
    """Return a path as git reads it from a line, also if the path has line breaks."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def changed_files(git: Git) -> tuple[list[str], list[str]]:
    """Return the changed files of a worktree: edited and untracked ones, and deleted ones."""
    options = ("--untracked-files=all", "--no-renames", "--ignore-submodules=all")
    status = git.run("status", "--porcelain=v1", "-z", *options).stdout
    changed, deleted = [], []
    for entry in status.split("\0")[:-1]:
        path = entry[3:]
        with suppress(PermissionError):  # of a folder that this user cannot read
            if (git.folder / path).is_file():
                changed.append(path)
            elif not (git.folder / path).exists():
                deleted.append(path)
    return changed, deleted


MODULE_FILES = frozenset({"go.mod", "go.sum", "go.work", "go.work.sum", "vendor/modules.txt"})
SOURCE_SUFFIXES = (
    *(".go", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx"),
    *(".f", ".F", ".for", ".f90", ".s", ".S", ".sx", ".syso"),
)
"""Suffixes of the files that go compiles in a package; see `go help packages`."""
