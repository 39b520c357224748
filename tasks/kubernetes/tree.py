"""A Kubernetes source tree: its lock file, its version, and the digests of its files."""

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
"""First arguments of every git command. Automatic maintenance is off: it would run in the
background while a folder is renamed."""
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
    def git(self) -> tuple[str, ...]:
        """First arguments of a git command that runs in the tree."""
        options = ("--git-dir", self.repository, "--work-tree", ".")
        return (*GIT, *options) if self.repository else GIT

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


def snapshot(tree: Path, git: Sequence[str] = GIT) -> dict[str, str]:
    """Return path -> blob digest of every file in a worktree.

    The digests of unchanged files come from git's index; edited and untracked files are hashed.
    """
    index = run(*git, "ls-files", "--stage", "-z", cwd=tree).stdout
    digests: dict[str, str] = {}
    for entry in index.split("\0")[:-1]:
        columns, _, path = entry.partition("\t")
        digests[path] = columns.split()[1]
    changed, deleted = changed_files(tree, git)
    for path in deleted:
        digests.pop(path, None)
    paths = "".join(f"{path}\n" for path in changed)
    hashes = run(*git, "hash-object", "--stdin-paths", cwd=tree, stdin=paths).stdout.split()
    return digests | dict(zip(changed, hashes, strict=True))


def changed_files(tree: Path, git: Sequence[str] = GIT) -> tuple[list[str], list[str]]:
    """Return the changed files of a worktree: edited and untracked ones, and deleted ones."""
    status = run(
        *git, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", cwd=tree
    ).stdout
    changed, deleted = [], []
    for entry in status.split("\0")[:-1]:
        path = entry[3:]
        if (tree / path).is_file():
            changed.append(path)
        elif not (tree / path).exists():
            deleted.append(path)
    return changed, deleted


def tree_digests(snapshot_: Mapping[str, str], folders: set[str]) -> str:
    """Return sorted `digest  path` lines of the files that a build of some folders reads.

    Test files are omitted: an edited test must not rebuild a component. go.mod and the other files
    in MODULE_FILES are always included.
    """
    lines = []
    for path, blob in snapshot_.items():
        folder, _, name = path.rpartition("/")
        if path in MODULE_FILES or (folder in folders and not name.endswith("_test.go")):
            lines.append(f"{blob}  {path}\n")
    return "".join(sorted(lines, key=lambda line: line.split("  ", 1)[1]))


MODULE_FILES = frozenset({"go.mod", "go.sum", "go.work", "go.work.sum", "vendor/modules.txt"})
