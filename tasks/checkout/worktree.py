"""The origin that is already there: a worktree of the user's own, or an unpacked archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tasks.checkout.base import NO_DATE, TREE_GIB, NoSuchVersion, commit_everything
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import version_stamp
from tasks.kubernetes.releases import satisfies
from tasks.kubernetes.tree import GIT, Checkout, guess_version, require_kubernetes
from tasks.settings.load import Settings
from tasks.settings.paths import user_path
from tasks.system import files, resources
from tasks.system.run import run

_OUTPUT = (":(exclude)_output", ":(exclude).make")


class Worktree:
    """A tree the user already has; used in place and never changed.

    A tree that is not the top of a repository is watched through a git folder in the workspace: a
    repository around it has other commits and other tags.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tree = user_path(settings.origin.path)
        self.name = f"the worktree {self.tree}"

    def checkout(self, wanted: str) -> Checkout:
        """Use the tree as it is; a wanted version must be the one that is checked out."""
        where = self.settings.source("origin.path")
        require_kubernetes(self.tree, where)
        found = self._own(where) if (self.tree / ".git").exists() else self._unpacked()
        version = self.settings.build.version_stamp or found.version
        if not satisfies(version, wanted):
            words = ("rev-parse", f"{wanted}^{{commit}}")
            named = run(*found.git, *words, cwd=self.tree, check=False)
            if named.stdout.strip() != found.commit:
                raise NoSuchVersion(f"it is at {version}, not at {wanted}")
        return replace(found, version=version, requested=wanted)

    def _own(self, where: str) -> Checkout:
        head = run(*GIT, "rev-parse", "HEAD", cwd=self.tree, check=False)
        if head.code:
            raise Failure(
                f"{where}: git cannot read {self.tree}\n{head.tail(2)}",
                f"commit something, or correct what git says: git -C {self.tree} status",
            )
        found = Checkout(self.tree, "", head.stdout.strip(), self.name, "")
        stamp = self.settings.build.version_stamp
        return replace(found, version=stamp or version_stamp.worktree_version(found))

    def _unpacked(self) -> Checkout:
        """Return what an unpacked archive says of itself, seen through a git folder of ours."""
        repository = self.settings.paths.cache / "git" / f"{files.digest(str(self.tree))[:16]}-tree"
        if not (repository / "HEAD").is_file():
            self._watch(repository)
        git = (*GIT, "--git-dir", repository)
        seen = run(*git, "rev-parse", "HEAD").stdout.strip()
        told = version_stamp.from_archive(self.tree) or version_stamp.Stamp("", seen, "")
        stamp = self.settings.build.version_stamp
        version = stamp or told.version or guess_version(self.tree, told.commit)
        return Checkout(self.tree, version, told.commit, self.name, "", str(repository), told.state)

    def _watch(self, repository: Path) -> None:
        """Remember the tree as it is now, so that edits can be told; the commit is reproducible."""
        resources.require_disk(self.settings.paths.home, TREE_GIB, "watching the tree for edits")
        console.progress(f"looking at every file of {self.tree}")
        with files.staged(repository) as making:
            run(*GIT, "init", "--quiet", "--bare", "--initial-branch=stepkube", making)
            git = (*GIT, "-c", "core.compression=1", "--git-dir", str(making), "--work-tree", ".")
            commit_everything(self.tree, "As it was found", NO_DATE, git=git, without=_OUTPUT)
