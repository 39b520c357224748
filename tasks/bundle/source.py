"""Source of a bundle: one commit without history, the edits, and generated code."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tasks.bundle.index import EDITS, IGNORED, PACK
from tasks.core.errors import Failure
from tasks.kubernetes.tree import GIT
from tasks.system import files
from tasks.system.run import run

_NO_FILTERS = ("-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null")


def collect(tree: Path, commit: str, scratch: Path, git: Sequence[str] = GIT) -> dict[str, Path]:
    """Return the members of a bundle that restore a tree in its current state.

    Temporary files are written to `scratch`. The tree and its repository are only read. `git` is
    the start of the argv of git, see Checkout.git.
    """
    members = {PACK: pack(tree, commit, scratch, git)}
    patch = edits(tree, scratch, git)
    if patch.stat().st_size:
        members[EDITS] = patch
    for name in ignored(tree, git):
        members[IGNORED + name] = tree / name
    return members


def pack(tree: Path, commit: str, scratch: Path, git: Sequence[str] = GIT) -> Path:
    """Write the objects of one commit into a pack; without deltas its bytes are always the same."""
    objects = run(*git, "rev-list", "--objects", "--no-walk", commit, cwd=tree).stdout
    names = "".join(f"{line.partition(' ')[0]}\n" for line in objects.splitlines())
    options = ("--quiet", "--threads=1", "--window=0", "--no-reuse-delta")
    result = run(*git, "pack-objects", *options, scratch / "source", cwd=tree, stdin=names)
    return scratch / f"source-{result.stdout.strip()}.pack"


def edits(tree: Path, scratch: Path, git: Sequence[str] = GIT) -> Path:
    """Write a patch from the commit to the tree, with new files; it is empty without edits."""
    index, patch = scratch / "index", scratch / "edits.patch"
    git_index = tree / run(*git, "rev-parse", "--git-path", "index", cwd=tree).stdout.strip()
    objects = tree / run(*git, "rev-parse", "--git-path", "objects", cwd=tree).stdout.strip()
    if git_index.is_file():
        shutil.copyfile(git_index, index)
    env = {
        **os.environ,
        "GIT_INDEX_FILE": str(index),
        "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
    }
    (scratch / "objects").mkdir(exist_ok=True)
    run(*git, "add", "--intent-to-add", "--all", cwd=tree, env=env)
    options = ("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
    run(*git, "diff", *options, f"--output={patch}", "HEAD", cwd=tree, env=env)
    patch.touch()
    return patch


def ignored(tree: Path, git: Sequence[str] = GIT) -> list[str]:
    """Return the Go files that git ignores: make generated them, and the build needs them."""
    options = ("--others", "--ignored", "--exclude-standard", "-z", "--", "*.go")
    listed = run(*git, "ls-files", *options, cwd=tree).stdout.split("\0")
    return sorted(name for name in listed if name and not name.startswith("_output/"))


def restore(staged: Path, tree: Path, commit: str) -> None:
    """Create a worktree with its own repository from the members below `staged`.

    git checks every object. Raises Failure if the pack does not contain `commit`.
    """
    run(*GIT, "init", "--quiet", "--initial-branch=stepkube", tree)
    packs = tree / ".git" / "objects" / "pack"
    packs.mkdir(parents=True, exist_ok=True)
    pack_file = packs / "pack-bundle.pack"
    (staged / PACK).rename(pack_file)
    run(*GIT, "index-pack", pack_file, cwd=tree)
    text = run(*GIT, "cat-file", "commit", commit, cwd=tree).stdout
    if re.search(r"^parent ", text.partition("\n\n")[0], re.MULTILINE):
        files.write(tree / ".git" / "shallow", f"{commit}\n")
    run(*GIT, *_NO_FILTERS, "reset", "--quiet", "--hard", commit, cwd=tree)
    if (staged / EDITS).is_file():
        run(*GIT, "apply", "--whitespace=nowarn", staged / EDITS, cwd=tree)
    for file in sorted((staged / IGNORED).rglob("*")):
        if file.is_file():
            target = tree / file.relative_to(staged / IGNORED)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.parent.resolve().is_relative_to(tree.resolve()):
                raise Failure(
                    f"the bundle's file {target.relative_to(tree)} leads outside the tree"
                )
            file.rename(target)


def is_same_source(tree: Path, commit: str, patch: str, scratch: Path) -> bool:
    """Return whether a tree is at `commit` with the edits of sha256 `patch` (empty: no edits)."""
    head = run(*GIT, "rev-parse", "HEAD", cwd=tree, check=False).stdout.strip()
    if head != commit:
        return False
    found = edits(tree, scratch)
    return patch == (files.digest_file(found) if found.stat().st_size else "")
