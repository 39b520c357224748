"""A Kubernetes source tree: its lock file and its version."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.system import state
from tasks.system.git import Git

LARGE = 64 << 20
"""Bytes that a source file does not have: the largest of Kubernetes has 6 MiB."""
_LFS = b"version https://git-lfs.github.com/spec/"
_NUMBER = "([0-9]{1,9})"
_SEMVER = re.compile(rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


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
        match = re.search(r'DefaultKubeBinaryVersion\s*=\s*"([0-9]{1,9}\.[0-9]{1,9})"', _text(base))
        if match:
            return f"v{match[1]}.0-alpha.0+{commit[:12]}"
    logs = [*tree.glob("CHANGELOG/CHANGELOG-1.*.md"), *tree.glob("CHANGELOG-1.*.md")]
    matches = {log: re.fullmatch(rf"CHANGELOG-1\.{_NUMBER}", log.stem) for log in reversed(logs)}
    minors = {int(match[1]): log for log, match in matches.items() if match and log.is_file()}
    if minors:
        newest = max(minors)
        tag = re.search(rf"^# (v1\.{newest}\.[0-9A-Za-z.-]+)", _text(minors[newest]), re.MULTILINE)
        return f"{tag[1] if tag else f'v1.{newest}.0-alpha.0'}+{commit[:12]}"
    old = tree / "CHANGELOG.md"
    text = _text(old) if old.is_file() and not old.is_symlink() else ""
    tags = re.findall(r"^# (v1\.[0-9]{1,9}\.[0-9]+\S*)", text, re.MULTILINE)
    if tags:
        return f"{max(tags, key=lambda tag: int(tag.split('.')[1]))}+{commit[:12]}"
    raise Failure(
        f"{tree}: no file of the tree names its Kubernetes version",
        "set build.version_stamp, for example to v1.30.0",
    )


def _text(path: Path) -> str:
    return path.read_text(errors="replace")
