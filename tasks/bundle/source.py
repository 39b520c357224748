"""The checkout as a bundle carries it: one commit without history, the edits, generated code."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tasks.bundle import index as manifest
from tasks.core.errors import Failure
from tasks.kubernetes.tree import GIT
from tasks.system import files
from tasks.system.run import run

_NO_FILTERS = ("-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null")


def collect(tree: Path, commit: str, scratch: Path, git: Sequence[str] = GIT) -> dict[str, Path]:
    """Return the members that make up a tree as it is now; what is made for them is in `scratch`.

    The tree and its repository are only read; `git` begins a command in it, see Checkout.git.
    """
    members = {manifest.PACK: pack(tree, commit, scratch, git)}
    patch = edits(tree, scratch, git)
    if patch.stat().st_size:
        members[manifest.EDITS] = patch
    for name in ignored(tree, git):
        members[manifest.IGNORED + name] = tree / name
    return members


def pack(tree: Path, commit: str, scratch: Path, git: Sequence[str] = GIT) -> Path:
    """Write the objects of one commit into a pack; without deltas it is always the same one."""
    objects = run(*git, "rev-list", "--objects", "--no-walk", commit, cwd=tree).stdout
    names = "".join(f"{line.partition(' ')[0]}\n" for line in objects.splitlines())
    words = ("--quiet", "--threads=1", "--window=0", "--no-reuse-delta")
    made = run(*git, "pack-objects", *words, scratch / "source", cwd=tree, stdin=names)
    return scratch / f"source-{made.stdout.strip()}.pack"


def edits(tree: Path, scratch: Path, git: Sequence[str] = GIT) -> Path:
    """Write what differs from the commit, new files included, as a patch; empty for nothing."""
    index, patch = scratch / "index", scratch / "edits.patch"
    own = tree / run(*git, "rev-parse", "--git-path", "index", cwd=tree).stdout.strip()
    objects = tree / run(*git, "rev-parse", "--git-path", "objects", cwd=tree).stdout.strip()
    if own.is_file():
        shutil.copyfile(own, index)
    env = {
        **os.environ,
        "GIT_INDEX_FILE": str(index),
        "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
    }
    (scratch / "objects").mkdir(exist_ok=True)
    run(*git, "add", "--intent-to-add", "--all", cwd=tree, env=env)
    plain = ("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
    run(*git, "diff", *plain, f"--output={patch}", "HEAD", cwd=tree, env=env)
    patch.touch()
    return patch


def ignored(tree: Path, git: Sequence[str] = GIT) -> list[str]:
    """Return the Go files that git ignores: what make generated, and the build needs."""
    words = ("--others", "--ignored", "--exclude-standard", "-z", "--", "*.go")
    listed = run(*git, "ls-files", *words, cwd=tree).stdout.split("\0")
    return sorted(name for name in listed if name and not name.startswith("_output/"))


def restore(staged: Path, tree: Path, commit: str) -> None:
    """Make a worktree of the members below `staged`, with a repository of its own.

    git checks every object; a Failure says that the commit is not what it should be.
    """
    run(*GIT, "init", "--quiet", "--initial-branch=stepkube", tree)
    packs = tree / ".git" / "objects" / "pack"
    packs.mkdir(parents=True, exist_ok=True)
    own = packs / "pack-bundle.pack"
    (staged / manifest.PACK).rename(own)
    run(*GIT, "index-pack", own, cwd=tree)
    about = run(*GIT, "cat-file", "commit", commit, cwd=tree).stdout
    if re.search(r"^parent ", about.partition("\n\n")[0], re.MULTILINE):
        files.write(tree / ".git" / "shallow", f"{commit}\n")
    run(*GIT, *_NO_FILTERS, "reset", "--quiet", "--hard", commit, cwd=tree)
    if (staged / manifest.EDITS).is_file():
        run(*GIT, "apply", "--whitespace=nowarn", staged / manifest.EDITS, cwd=tree)
    for file in sorted((staged / manifest.IGNORED).rglob("*")):
        if file.is_file():
            target = tree / file.relative_to(staged / manifest.IGNORED)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.parent.resolve().is_relative_to(tree.resolve()):
                raise Failure(f"the bundle's {target.relative_to(tree)} would leave the tree")
            file.rename(target)


def is_same_source(tree: Path, commit: str, patch: str, scratch: Path) -> bool:
    """Tell whether a tree is at a commit with just the edits whose sha256 is `patch`, or none."""
    head = run(*GIT, "rev-parse", "HEAD", cwd=tree, check=False).stdout.strip()
    if head != commit:
        return False
    own = edits(tree, scratch)
    return patch == (files.digest_file(own) if own.stat().st_size else "")
