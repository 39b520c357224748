"""Origin: a tree of the user, as a git worktree or an unpacked archive."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from tasks.checkout.base import NO_DATE, TREE_GIB, NoSuchVersion, commit_everything
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import version_stamp
from tasks.kubernetes.releases import satisfies
from tasks.kubernetes.tree import Checkout, guess_version, is_source, require_kubernetes
from tasks.settings.load import Settings
from tasks.settings.paths import user_path
from tasks.system import files, resources
from tasks.system.git import Git

_OUTPUT = (":(exclude)_output", ":(exclude).make")


class Worktree:
    """The user's tree in origin.path; it is used in place and never changed.

    If the tree is not the top folder of a repository, a git folder in the workspace records its
    files: a repository around the tree has other commits and tags.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tree = user_path(settings.origin.path)
        self.name = f"the worktree {self.tree}"

    def checkout(self, requested: str) -> Checkout:
        """Use the tree as it is. Raises NoSuchVersion if it is not at the requested version."""
        where = self.settings.source("origin.path")
        require_kubernetes(self.tree, where)
        is_git = (self.tree / ".git").exists()
        checkout = self._git_worktree(where) if is_git else self._unpacked()
        version = self.settings.build.version_stamp or checkout.version
        if not satisfies(version, requested):
            arguments = ("rev-parse", "--verify", "--end-of-options", f"{requested}^{{commit}}")
            commit = checkout.git.run(*arguments, check=False).stdout.strip()
            if commit != checkout.commit:
                raise NoSuchVersion(f"it is at {version}, not at {requested}")
        return replace(checkout, version=version, requested=requested)

    def _git_worktree(self, where: str) -> Checkout:
        """Return the commit and version of a git worktree."""
        head = Git(self.tree).run("rev-parse", "HEAD", check=False)
        if head.code:
            raise Failure(
                f"{where}: git cannot read {self.tree}\n{head.tail(2)}",
                f"make a first commit, or fix the error that this shows:"
                f" git -C {shlex.quote(str(self.tree))} status",
            )
        checkout = Checkout(self.tree, "", head.stdout.strip(), self.name, "")
        stamp = self.settings.build.version_stamp
        return replace(checkout, version=stamp or version_stamp.worktree_version(checkout))

    def _unpacked(self) -> Checkout:
        """Return the commit and version of an unpacked archive, from its files."""
        repository = self.settings.paths.cache / "git" / f"{files.digest(str(self.tree))[:16]}-tree"
        if not (repository / "HEAD").is_file():
            self._record_files(repository)
        head = Git(self.tree, str(repository)).run("rev-parse", "HEAD").stdout.strip()
        stamp = version_stamp.from_archive(self.tree) or version_stamp.Stamp("", head, "")
        version = self.settings.build.version_stamp or stamp.version
        version = version or guess_version(self.tree, stamp.commit)
        return Checkout(
            self.tree, version, stamp.commit, self.name, "", str(repository), stamp.state
        )

    def _record_files(self, repository: Path) -> None:
        """Commit the tree to a git folder, to find later edits; the commit is reproducible."""
        resources.require_disk(
            self.settings.paths.home, TREE_GIB, "recording the files of the tree"
        )
        console.progress(f"recording the files of {self.tree}")
        with files.staged(repository) as staging:
            Git(staging).run("init", "--quiet", "--bare", "--initial-branch=stepkube")
            git = Git(self.tree, str(staging))
            without = (*_OUTPUT, *_no_sources(self.tree))
            commit_everything(git, "As it was found", NO_DATE, without=without)


def _no_sources(tree: Path) -> list[str]:
    """Return git arguments that leave out files that cannot be source code, such as a disk image.

    To keep an image in a repository takes minutes.
    """
    paths = (Path(folder, name) for folder, _, names in os.walk(tree) for name in names)
    return [f":(exclude,literal){path.relative_to(tree)}" for path in paths if not is_source(path)]
