"""The origin that is already there: a worktree of the user's own."""

from __future__ import annotations

from pathlib import Path

from tasks.failure import Failure
from tasks.origins.base import NoSuchVersion
from tasks.run import run
from tasks.settings import Settings
from tasks.tree import GIT, Checkout, guess_version, is_version, require_kubernetes


class Worktree:
    """A tree the user already has; used in place and never changed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tree = Path(settings.origin.path).expanduser().absolute()
        self.name = f"the worktree {self.tree}"

    def checkout(self, wanted: str) -> Checkout:
        """Use the tree as it is; a wanted version must be the one that is checked out."""
        where = self.settings.sources.get("origin.path", "origin.path")
        require_kubernetes(self.tree, where)
        head = run(*GIT, "rev-parse", "HEAD", cwd=self.tree, check=False)
        if head.code:
            raise Failure(
                f"{where}: {self.tree} is not a git worktree",
                f"make it one: git -C {self.tree} init && git -C {self.tree} add -A && "
                f"git -C {self.tree} commit -m import",
            )
        commit = head.stdout.strip()
        version = self.settings.build.version_stamp or self._version(commit)
        if wanted not in ("auto", version):
            named = run(*GIT, "rev-parse", f"{wanted}^{{commit}}", cwd=self.tree, check=False)
            if named.stdout.strip() != commit:
                raise NoSuchVersion(f"it is at {version}, not at {wanted}")
        return Checkout(self.tree, version, commit, self.name, wanted)

    def _version(self, commit: str) -> str:
        exact = run(
            *GIT, "describe", "--tags", "--exact-match", "--match", "v1.*", cwd=self.tree,
            check=False,
        )
        tag = exact.stdout.strip()
        return tag if is_version(tag) else guess_version(self.tree, commit)
