"""A git tree laid out like Kubernetes, with tiny mains: what build and checkout need to see."""

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tasks.build.file_table import blob_digest
from tasks.system.git import Git

FILES = {
    "go.mod": "module k8s.io/kubernetes\n\ngo 1.21\n",
    "CHANGELOG/CHANGELOG-1.28.md": "# v1.28.3\n",
    "cmd/kube-apiserver/main.go": 'package main\n\nfunc main() { println("apiserver") }\n',
    "cmd/kube-scheduler/main.go": (
        'package main\n\nimport "k8s.io/kubernetes/pkg/scheduler"\n\n'
        "func main() { println(scheduler.Name()) }\n"
    ),
    "pkg/scheduler/scheduler.go": (
        'package scheduler\n\nimport _ "embed"\n\n//go:embed data/name.txt\nvar name string\n\n'
        "func Name() string { return name }\n"
    ),
    "pkg/scheduler/data/name.txt": "scheduler\n",
    "pkg/scheduler/scheduler_test.go": "package scheduler\n",
    "pkg/kubelet/kubelet.go": "package kubelet\n",
}


def make(folder: Path, *, tags: tuple[str, ...] = (), unique: str = "") -> Path:
    """Write the tree, commit it, and tag the commit; `unique` makes its binaries its own."""
    if unique:
        return _make(folder, tags, unique)
    shutil.copytree(_made(tags), folder, dirs_exist_ok=True)
    return folder


@cache
def _made(tags: tuple[str, ...]) -> Path:
    """Return a tree to copy, which saves half a dozen runs of git."""
    folder = Path(tempfile.mkdtemp(prefix="miniature-"))
    atexit.register(shutil.rmtree, folder)
    return _make(folder, tags, "")


def _make(folder: Path, tags: tuple[str, ...], unique: str) -> Path:
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "pkg/scheduler/data/name.txt").write_text(f"scheduler {unique}\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "first")
    for tag in tags:
        git(folder, "tag", tag)
    return folder


def commit(folder: Path, message: str) -> str:
    """Commit everything and return the commit's name."""
    git(folder, "add", "--all")
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    git(folder, *who, "-c", "commit.gpgsign=false", "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


def git(folder: Path, *words: str) -> str:
    """Run git in the tree and return what it printed."""
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def blobs(folder: Path, repository: Git | None = None) -> dict[str, str]:
    """Return path -> blob digest of every file of a worktree that git does not ignore."""
    options = ("--cached", "--others", "--exclude-standard", "-z")
    listed = (repository or Git(folder)).run("ls-files", *options).stdout.split("\0")[:-1]
    contents = {}
    for path in listed:
        place = folder / path
        if place.is_symlink():
            contents[path] = str(place.readlink()).encode()
        elif place.is_file():
            contents[path] = place.read_bytes()
    return {path: blob_digest(content) for path, content in contents.items()}


def changed_files(repository: Git) -> tuple[list[str], list[str]]:
    """Return the files of a worktree that git shows as edited or new, and as deleted."""
    options = ("--untracked-files=all", "--no-renames", "--ignore-submodules=all")
    status = repository.run("status", "--porcelain=v1", "-z", *options).stdout
    paths = [entry[3:] for entry in status.split("\0")[:-1]]
    gone = [path for path in paths if not os.path.lexists(repository.folder / path)]
    return [path for path in paths if path not in gone], gone
