"""Source of a bundle: one commit without history, the edits, and generated code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tasks.bundle.index import EDITS, IGNORED, PACK
from tasks.core.errors import Failure
from tasks.system import files
from tasks.system.git import Git


def collect(git: Git, commit: str, scratch: Path) -> dict[str, Path]:
    """Return the members of a bundle that restore a tree in its current state.

    Temporary files are written to `scratch`. The tree and its repository are only read.
    """
    members = {PACK: pack(git, commit, scratch)}
    patch = edits(git, scratch)
    if patch.stat().st_size:
        members[EDITS] = patch
    for name in ignored(git):
        members[IGNORED + name] = git.folder / name
    return members


def pack(git: Git, commit: str, scratch: Path) -> Path:
    """Write the objects of one commit into a pack; without deltas its bytes are always the same."""
    objects = git.run("rev-list", "--objects", "--no-walk", commit).stdout
    names = "".join(f"{line.partition(' ')[0]}\n" for line in objects.splitlines())
    options = ("--quiet", "--threads=1", "--window=0", "--no-reuse-delta")
    result = git.run("pack-objects", *options, scratch / "source", stdin=names)
    return scratch / f"source-{result.stdout.strip()}.pack"


def edits(git: Git, scratch: Path) -> Path:
    """Write a patch from the commit to the tree, with new files; it is empty without edits."""
    index, patch = scratch / "index", scratch / "edits.patch"
    git_index = git.folder / git.run("rev-parse", "--git-path", "index").stdout.strip()
    objects = git.folder / git.run("rev-parse", "--git-path", "objects").stdout.strip()
    if git_index.is_file():
        shutil.copyfile(git_index, index)
    env = {
        "GIT_INDEX_FILE": str(index),
        "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
    }
    (scratch / "objects").mkdir(exist_ok=True)
    # git would run `git status` in a submodule, with the configuration of the submodule
    entries = git.run("ls-files", "--stage", "-z").stdout.split("\0")
    submodules = [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]
    others = (f":(exclude,literal){path}" for path in submodules)
    git.run("add", "--intent-to-add", "--all", "--", ".", *others, env=env)
    options = ("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
    ignore = "--ignore-submodules=all"
    git.run("diff", *options, ignore, f"--output={patch}", "HEAD", env=env)
    patch.touch()
    return patch


def ignored(git: Git) -> list[str]:
    """Return the Go files that git ignores: make generated them, and the build needs them."""
    options = ("--others", "--ignored", "--exclude-standard", "-z", "--", "*.go")
    listed = git.run("ls-files", *options).stdout.split("\0")
    return sorted(name for name in listed if name and not name.startswith("_output/"))


def restore(staged: Path, tree: Path, commit: str) -> None:
    """Create a worktree with its own repository from the members below `staged`.

    git checks every object. Raises Failure if the pack does not contain `commit`.
    """
    tree.mkdir(parents=True, exist_ok=True)
    git = Git(tree)
    git.run("init", "--quiet", "--initial-branch=stepkube")
    packs = tree / ".git" / "objects" / "pack"
    packs.mkdir(parents=True, exist_ok=True)
    pack_file = packs / "pack-bundle.pack"
    (staged / PACK).rename(pack_file)
    git.run("index-pack", pack_file)
    text = git.run("cat-file", "commit", commit).stdout
    if re.search(r"^parent ", text.partition("\n\n")[0], re.MULTILINE):
        files.write(tree / ".git" / "shallow", f"{commit}\n")
    git.run("-c", "core.autocrlf=false", "reset", "--quiet", "--hard", commit)
    if (staged / EDITS).is_file():
        git.run("apply", "--whitespace=nowarn", staged / EDITS)
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
    head = Git(tree).run("rev-parse", "HEAD", check=False).stdout.strip()
    if head != commit:
        return False
    found = edits(Git(tree), scratch)
    return patch == (files.digest_file(found) if found.stat().st_size else "")
