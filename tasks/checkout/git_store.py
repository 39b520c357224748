"""A private bare repository per git address, filled in steps that an interruption cannot undo.

git cannot continue a broken transfer, so a big one is made of small ones: first one commit with
its folders, then its files by the thousand. What came is kept; only what lacks is asked for again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.build import layout
from tasks.checkout import missing_files
from tasks.checkout.base import Incomplete, NoSuchVersion, Unreachable
from tasks.checkout.git_remote import REFUSED, Remote, git_version, missing_objects
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tree import GIT
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.run import Result, run

PARTIAL = (2, 29)
"""The first git that fetches files by name without telling the server what it has already."""
_BATCH = 2000


class Store:
    """The objects fetched from one address, and the worktrees made of them."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.remote = Remote(settings, url)
        self.folder = settings.paths.cache / "git" / files.digest(self.remote.url)[:16]

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the repository, or mend what a killed run left of it, and keep others out."""
        with files.locked(self.folder.with_name(f"{self.folder.name}.lock")):
            if self.folder.is_dir():
                self._mend()
            if not self.folder.is_dir():
                with files.staged(self.folder) as making:
                    run(*GIT, "init", "--quiet", "--bare", making, env=self.remote.environment())
            self.git("config", "remote.origin.url", self.remote.url)
            yield

    def refs(self, *words: str) -> dict[str, str]:
        """Return ref name -> commit, as the address has it now; see Remote.refs."""
        return self.remote.refs(self.folder, *words)

    def fetch(self, ref: str, known: str) -> str:
        """Bring a commit with all its files in; return its full name.

        `ref` is a ref of the address or a commit, `known` the commit it is as far as one can tell.
        Raises Unreachable when the transfer breaks off, NoSuchVersion when there is no such commit,
        Incomplete when the address has lost files that a build needs.
        """
        commit = self.commit(known)
        if commit and self.git("rev-parse", "--quiet", "--verify", f"refs/kept/{commit}").stdout:
            return commit
        full = len(known) == 40
        partial = ("--filter=blob:none",) if git_version() >= PARTIAL else ()
        if not commit:
            said = self._transfer(ref, *partial, "--depth=1", known) if full else "not our ref"
            if REFUSED.search(said):
                everything = [f"+refs/{kind}/*:refs/origin/{kind}/*" for kind in ("heads", "tags")]
                some = ("--no-filter",) if full and partial else partial  # it would be remembered
                said = self._transfer(ref, *some, "--update-shallow", *everything)
            if missing_objects(said):
                raise _incomplete(said)
            if said:
                raise Unreachable(said)
            commit = self.commit(known)
        if not commit:
            raise NoSuchVersion(f"there is no commit {ref}")
        self._files(commit)
        self.git("update-ref", f"refs/kept/{commit}", commit)
        return commit

    def commit(self, name: str) -> str:
        """Return the full name of a commit that is here, else an empty text."""
        return self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").stdout.strip()

    def worktree(self, folder: Path, commit: str) -> None:
        """Write a commit's files into a folder, unless a whole worktree is there already."""
        if self.is_whole(folder):
            return
        if self._is_ours(folder):
            shutil.rmtree(folder)
        elif folder.exists() and any(folder.iterdir()):
            raise Failure(
                f"{folder} exists but is not a complete checkout",
                f"move your own files away and remove it: rm -r {folder}",
            )
        console.progress(f"writing {folder}")
        lacking = self._lacking(commit)
        words = ["--quiet", "--force", "--detach", *(["--no-checkout"] if lacking else [])]
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.git("worktree", "prune")
        try:
            added = self.git("worktree", "add", *words, folder, commit)
            if lacking and not added.code:
                added = self._write_without(lacking, folder)
            if added.code:
                raise Failure(f"git could not write {folder}\n{added.tail()}")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def bring(self, folder: Path, commit: str, wanted: str) -> None:
        """Bring a worktree to a commit that its tag was moved to; what is the user's stays.

        Commits made on top of it count as edits. Raises Failure where any work could be lost.
        """
        here = (*GIT, "-C", folder)
        head = run(*here, "rev-parse", "HEAD").stdout.strip()
        if head == commit:
            return
        if not run(*here, "merge-base", "--is-ancestor", commit, head, check=False).code:
            return
        mine = run(*here, "status", "--porcelain").stdout.strip()
        if mine or self.git("rev-parse", "--verify", "--quiet", f"refs/kept/{head}").code:
            work = "edits" if mine else "other commits"
            raise Failure(
                f"{folder} has {work} and is at {head[:12]}, but {wanted} is {commit[:12]}",
                f"to build it as it is: origin.path={folder}; else save your work and run"
                f" git -C {folder} checkout --detach {commit[:12]}",
            )
        console.say(f"  {wanted} was moved from {head[:12]} to {commit[:12]}")
        run(*here, "checkout", "--quiet", "--detach", commit)

    def is_whole(self, folder: Path) -> bool:
        """Tell whether a worktree was written to its end: git writes its index last."""
        if not (folder / ".git").exists():
            return False
        found = run(*GIT, "rev-parse", "--git-path", "index", cwd=folder, check=False)
        return found.code == 0 and (folder / found.stdout.strip()).is_file()

    def git(self, *argv: str | Path) -> Result:
        """Run git in the repository; the caller looks at how it ended."""
        return run(*GIT, "-C", self.folder, *argv, env=self.remote.environment(), check=False)

    def _is_ours(self, folder: Path) -> bool:
        """Tell whether a folder is a worktree of this repository."""
        link = folder / ".git"
        text = link.read_text() if link.is_file() else ""
        return text.startswith(f"gitdir: {self.folder}/worktrees/")

    def _mend(self) -> None:
        """Remove what only a killed git leaves behind: nobody else works here under our lock."""
        stale = [self.folder / f"{name}.lock" for name in ("shallow", "config", "packed-refs")]
        stale += self.folder.glob("refs/kept/**/*.lock")
        stale += self.folder.glob("refs/origin/**/*.lock")
        for path in [*stale, *self.folder.glob("objects/**/tmp_*")]:
            path.unlink(missing_ok=True)
        if self.git("rev-parse", "--is-bare-repository").stdout.strip() == "true":
            return
        if any(self.folder.glob("worktrees/*")):
            raise Failure(
                f"the repository {self.folder} is damaged, and worktrees depend on it",
                f"save your edits of the trees in {self.settings.paths.source}, then remove those"
                f" trees and {self.folder}",
            )
        shutil.rmtree(self.folder)

    def _files(self, commit: str) -> None:
        """Fetch the files that lack, some thousand at a time; each batch that came stays."""
        missing = self._missing(commit)
        spared: dict[str, list[str]] = {}
        for start in range(0, len(missing), _BATCH):
            some = missing[start : start + _BATCH]
            what = f"files of {commit[:12]}, {start} of {len(missing)}"
            while some and (said := self._batch(what, some)):
                if missing_objects(said) not in some:
                    here = f"{start} of {len(missing)} files came and are kept"
                    raise Unreachable(f"{said} ({here}: run it again to go on)")
                spared[missing_objects(said)] = self._spare(commit, missing_objects(said))
                some.remove(missing_objects(said))
        if spared:
            lost = [path for paths in spared.values() for path in paths]
            if needed := missing_files.undetectable_loss(
                lost, self._names(commit, missing_files.VENDOR)
            ):
                raise _incomplete(f"it has lost {needed}")
            names = ", ".join(lost)
            console.say(f"  the repository has lost files that a build can do without: {names}")
        if missing and len(self._missing(commit)) > len(spared):
            raise Unreachable(f"the server does not give all files of {commit}")

    def _batch(self, what: str, objects: list[str]) -> str:
        options = ("--filter=blob:none", "--no-write-fetch-head")
        return self._transfer(what, *options, *objects, haves="noop")

    def _transfer(self, what: str, *words: str, haves: str = "default") -> str:
        return self.remote.transfer(self.folder, what, *words, haves=haves)

    def _spare(self, commit: str, blob: str) -> list[str]:
        """Return the paths of a file that the address lost; Incomplete where a build needs it."""
        paths = self._paths(commit, {blob})
        by_modules = bool(self._names(commit, str(layout.MODULES_TXT)))
        for path in paths:
            if not missing_files.is_dispensable(path, by_modules=by_modules):
                raise _incomplete(f"it has lost {path} ({blob[:12]})")
        return paths

    def _lacking(self, commit: str) -> list[str]:
        """Return the paths of a commit whose content is not here."""
        missing = set(self._missing(commit))
        return self._paths(commit, missing) if missing else []

    def _missing(self, commit: str) -> list[str]:
        words = ("--objects", "--no-walk", "--missing=print", "--no-object-names")
        listed = self.git("rev-list", *words, commit).stdout.splitlines()
        return [line[1:] for line in listed if line.startswith("?")]

    def _paths(self, commit: str, blobs: set[str]) -> list[str]:
        listed = self.git("ls-tree", "-r", "-z", commit).stdout.split("\0")
        pairs = (line.partition("\t") for line in listed if line)
        return [path for about, _, path in pairs if about.split()[2] in blobs]

    def _names(self, commit: str, below: str) -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", "-z", commit, below).stdout.split("\0")[:-1]

    def _write_without(self, lacking: list[str], folder: Path) -> Result:
        """Write a worktree but for some files, which git then does not miss; its index comes last.

        The patterns hold for this one command: a bare repository cannot keep them before git 2.36.
        """
        patterns = run(*GIT, "rev-parse", "--git-path", "info/sparse-checkout", cwd=folder)
        without = [re.sub(r"([][*?!#\\])", r"\\\1", path) for path in lacking]
        text = "".join(f"!/{path}\n" for path in without)
        files.write(folder / patterns.stdout.strip(), f"/*\n{text}")
        sparse = ("-c", "core.sparseCheckout=true", "-c", "core.sparseCheckoutCone=false")
        return run(*GIT, *sparse, "read-tree", "-m", "-u", "HEAD", cwd=folder, check=False)


def _incomplete(said: str) -> Incomplete:
    return Incomplete(
        f"the repository is incomplete: {said}",
        "mend it (git fsck in it names all that lacks), or name a whole worktree in origin.path",
    )
