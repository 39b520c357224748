"""A Kubernetes tree as it is on disk: its version, its minor, the digests of its files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.system import files
from tasks.system.run import run

GIT = (
    "git",
    "--no-optional-locks",
    "-c",
    "safe.directory=*",
    "-c",
    "core.quotepath=off",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
)
"""How every git command begins; none leaves one behind that tidies up while a folder is renamed."""
_LFS = b"version https://git-lfs.github.com/spec/"
_SEMVER = re.compile(r"v(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


@dataclass(frozen=True)
class Checkout:
    """The tree an instance is built from; `requested` is what the user asked for.

    `repository` is the git folder kept for a tree that has none of its own. `state` is the tree's
    state as a file told it, empty where git is to be asked.
    """

    tree: Path
    version: str
    commit: str
    origin: str
    requested: str
    repository: str = ""
    state: str = ""

    @property
    def git(self) -> tuple[str, ...]:
        """The words that begin a git command, to be run in the tree."""
        own = ("--git-dir", self.repository, "--work-tree", ".")
        return (*GIT, *own) if self.repository else GIT

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
    """Tell whether a text is a full release such as v1.20.2."""
    return _SEMVER.fullmatch(text) is not None


def load_checkout(lock: Path) -> Checkout:
    """Read which tree an instance uses. Raises Failure when there is none yet."""
    value = files.read_json(lock)
    if value is None:
        raise Failure("there is no checkout yet", "run: doit checkout")
    names = ("version", "commit", "origin", "requested")
    return Checkout(
        tree=Path(value["tree"]),
        **{name: value[name] for name in names},
        **{name: value.get(name, "") for name in ("repository", "state")},
    )


def require_kubernetes(tree: Path, where: str) -> None:
    """Raise Failure when a folder does not look like a Kubernetes source tree."""
    if not (tree / "cmd" / "kube-apiserver").is_dir():
        raise Failure(
            f"{where}: {tree} is not a Kubernetes source tree (no cmd/kube-apiserver in it)",
            "name the top folder of a complete checkout",
        )
    for source in (tree / "cmd" / "kube-apiserver").glob("*.go"):
        if source.read_bytes().startswith(_LFS):
            raise Failure(
                f"{where}: {tree} has Git LFS pointers in place of files ({source.name})",
                "run git lfs pull in a clone of it, and name that clone as origin.path",
            )


def guess_version(tree: Path, commit: str) -> str:
    """Work out the version of a tree that no release tag names.

    The minor comes from the constant that 1.31+ carry, else from the newest change log. Before 1.10
    there was one for all minors, whose place was then taken by a list of links.
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
        f"{tree}: nothing in the tree tells which Kubernetes version it is",
        "set build.version_stamp, for example to v1.30.0",
    )


def _log_minor(log: Path) -> int:
    return int(log.stem.rpartition(".")[2])


def snapshot(tree: Path, git: Sequence[str] = GIT) -> dict[str, str]:
    """Return path -> blob digest of every file of a worktree as it is now.

    Unchanged files cost one look at git's index; edited and untracked ones are hashed.
    """
    index = run(*git, "ls-files", "--stage", "-z", cwd=tree).stdout
    found: dict[str, str] = {}
    for entry in index.split("\0")[:-1]:
        about, _, path = entry.partition("\t")
        found[path] = about.split()[1]
    dirty, gone = changed_files(tree, git)
    for path in gone:
        found.pop(path, None)
    listed = "".join(f"{path}\n" for path in dirty)
    hashes = run(*git, "hash-object", "--stdin-paths", cwd=tree, stdin=listed).stdout.split()
    return found | dict(zip(dirty, hashes, strict=True))


def changed_files(tree: Path, git: Sequence[str] = GIT) -> tuple[list[str], list[str]]:
    """Return the edited and untracked files, and the deleted ones, of a worktree."""
    status = run(
        *git, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", cwd=tree
    ).stdout
    dirty, gone = [], []
    for entry in status.split("\0")[:-1]:
        path = entry[3:]
        if (tree / path).is_file():
            dirty.append(path)
        elif not (tree / path).exists():
            gone.append(path)
    return dirty, gone


def tree_digests(snapshot_: Mapping[str, str], folders: set[str]) -> str:
    """Return `digest  path` lines of the files in a set of folders that a build can see.

    Tests are left out: editing one must not rebuild a component. The module files always count.
    """
    lines = []
    for path, blob in snapshot_.items():
        folder, _, name = path.rpartition("/")
        if path in MODULE_FILES or (folder in folders and not name.endswith("_test.go")):
            lines.append(f"{blob}  {path}\n")
    return "".join(sorted(lines, key=lambda line: line.split("  ", 1)[1]))


MODULE_FILES = frozenset({"go.mod", "go.sum", "go.work", "go.work.sum", "vendor/modules.txt"})
