"""A bare repository in the workspace for each git address, and its worktrees.

git cannot continue an interrupted transfer, so a large one is split: first one commit with its
folders, then its files, 2000 at a time. Fetched files are kept; only missing ones are fetched.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.build import layout
from tasks.checkout import missing_files
from tasks.checkout.base import Incomplete, NoSuchVersion, Unreachable
from tasks.checkout.git_remote import REFUSED, Remote, git_version, missing_object
from tasks.core import console
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.git import Git
from tasks.system.run import Result

PARTIAL = (2, 29)
"""The first git that can fetch single files without sending its own commits to the server."""
_BATCH = 2000


class Store:
    """The repository for one git address, and its worktrees."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.remote = Remote(settings, url)
        self.folder = settings.paths.cache / "git" / files.digest(self.remote.url)[:16]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the repository; create the repository, or repair it after a kill."""
        with files.locked(self.folder.with_name(f"{self.folder.name}.lock")):
            if self.folder.is_dir():
                self._repair()
            if not self.folder.is_dir():
                with files.staged(self.folder) as staging:
                    Git(staging).run("init", "--quiet", "--bare")
            self.git("config", "remote.origin.url", self.remote.url)
            yield

    def refs(self, *names: str) -> dict[str, str]:
        """Return ref name -> commit of the address; see Remote.refs."""
        return self.remote.refs(self.folder, *names)

    def fetch(self, ref: str, known: str) -> str:
        """Fetch a commit with all its files; return its full name.

        `ref` is a ref of the address or a commit. `known` is its commit, or again `ref` if the
        commit is unknown. Raises Unreachable if the transfer fails, NoSuchVersion if there is no
        such commit, Incomplete if files that a build needs are missing at the address.
        """
        commit = self.commit(known)
        if commit and self.git("rev-parse", "--quiet", "--verify", f"refs/kept/{commit}").stdout:
            return commit
        full = len(known) == 40
        partial = ("--filter=blob:none",) if git_version() >= PARTIAL else ()
        if not commit:
            error = self._transfer(ref, *partial, "--depth=1", known) if full else "not our ref"
            if REFUSED.search(error):
                refspecs = [f"+refs/{kind}/*:refs/origin/{kind}/*" for kind in ("heads", "tags")]
                # git remembers the filter of the first try: --no-filter removes it
                options = ("--no-filter",) if full and partial else partial
                error = self._transfer(ref, *options, "--update-shallow", *refspecs)
            if missing_object(error):
                raise _incomplete(error)
            if error:
                raise Unreachable(error)
            commit = self.commit(known)
        if not commit:
            raise NoSuchVersion(f"there is no commit {ref}")
        self._fetch_files(commit)
        self.git("update-ref", f"refs/kept/{commit}", commit)
        return commit

    def commit(self, name: str) -> str:
        """Return the full name of a commit in the repository; empty if it is not there."""
        return self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").stdout.strip()

    def write_worktree(self, folder: Path, commit: str) -> None:
        """Write a commit's files into a folder, unless it is already a complete worktree."""
        if self.is_complete(folder):
            return
        if self._is_worktree(folder):
            shutil.rmtree(folder)
        elif folder.exists() and any(folder.iterdir()):
            raise Failure(
                f"{folder} exists but is not a complete checkout",
                f"move your files to another folder, then run: rm -r {shlex.quote(str(folder))}",
            )
        console.progress(f"writing {folder}")
        missing = self._missing_paths(commit)
        options = ["--quiet", "--force", "--detach", *(["--no-checkout"] if missing else [])]
        files.make_shared(folder.parent)
        self.git("worktree", "prune")
        try:
            result = self.git("worktree", "add", *options, folder, commit)
            if missing and not result.code:
                result = self._write_without(missing, folder)
            if result.code:
                raise Failure(f"git could not write {folder}\n{result.tail()}")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def update_worktree(self, folder: Path, commit: str, requested: str) -> None:
        """Check out the commit to which a tag was moved; keep the user's edits and commits.

        HEAD stays if it has this commit. Raises Failure if the user's work would be lost.
        """
        git = Git(folder)
        head = git.run("rev-parse", "HEAD").stdout.strip()
        if not git.run("merge-base", "--is-ancestor", commit, head, check=False).code:
            return
        edits = git.run("status", "--porcelain", "--ignore-submodules=all").stdout.strip()
        if edits or self.git("rev-parse", "--verify", "--quiet", f"refs/kept/{head}").code:
            work = "edits" if edits else "other commits"
            raise Failure(
                f"{folder} has {work} and is at {head[:12]}, but {requested} is {commit[:12]}",
                f"to build it with your changes, set origin.path={folder}; else save your work and"
                f" run: git -C {shlex.quote(str(folder))} checkout --detach {commit[:12]}",
            )
        console.say(f"  {requested} was moved from {head[:12]} to {commit[:12]}")
        git.run("checkout", "--quiet", "--detach", commit)

    def is_complete(self, folder: Path) -> bool:
        """Return whether git wrote all files of a worktree: it writes the index last."""
        if not (folder / ".git").exists():
            return False
        index = Git(folder).run("rev-parse", "--git-path", "index", check=False)
        return index.code == 0 and (folder / index.stdout.strip()).is_file()

    def git(self, *argv: str | Path) -> Result:
        """Run git in the repository; the caller checks the exit code."""
        return Git(self.folder).run(*argv, check=False)

    def _is_worktree(self, folder: Path) -> bool:
        """Return whether a folder is a worktree of this repository."""
        link = folder / ".git"
        text = link.read_text(errors="replace") if link.is_file() else ""
        return text.startswith(f"gitdir: {self.folder}/worktrees/")

    def _repair(self) -> None:
        """Remove files that a killed git left; our lock excludes other runs.

        A repository that is damaged is removed, if it has no worktree. Else raises Failure.
        """
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

    def _fetch_files(self, commit: str) -> None:
        """Fetch the missing files of a commit in batches; fetched batches are kept."""
        missing = self._missing_blobs(commit)
        dispensable: dict[str, list[str]] = {}
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            what = f"files of {commit[:12]}, {start} of {len(missing)}"
            while batch and (error := self._fetch_batch(what, batch)):
                blob = missing_object(error)
                if blob not in batch:
                    count = f"{start} of {len(missing)} files are fetched and kept"
                    raise Unreachable(f"{error} ({count}: run the command again to continue)")
                dispensable[blob] = self._dispensable_paths(commit, blob)
                batch.remove(blob)
        if dispensable:
            lost = [path for paths in dispensable.values() for path in paths]
            vendored = self._files_below(commit, missing_files.VENDOR)
            if needed := missing_files.undetectable_loss(lost, vendored):
                raise _incomplete(f"{needed} is missing")
            console.say(f"  missing in the repository, but not needed: {', '.join(lost)}")
        if missing and len(self._missing_blobs(commit)) > len(dispensable):
            raise Unreachable(f"the server did not send all files of {commit}")

    def _fetch_batch(self, what: str, objects: list[str]) -> str:
        options = ("--filter=blob:none", "--no-write-fetch-head")
        return self._transfer(what, *options, *objects, negotiation="noop")

    def _transfer(self, what: str, *arguments: str, negotiation: str = "default") -> str:
        return self.remote.transfer(self.folder, what, *arguments, negotiation=negotiation)

    def _dispensable_paths(self, commit: str, blob: str) -> list[str]:
        """Return the paths of a missing file. Raises Incomplete if a build needs the file."""
        paths = self._paths(commit, {blob})
        by_modules = bool(self._files_below(commit, str(layout.MODULES_TXT)))
        for path in paths:
            if not missing_files.is_dispensable(path, by_modules=by_modules):
                raise _incomplete(f"{path} ({blob[:12]}) is missing")
        return paths

    def _missing_paths(self, commit: str) -> list[str]:
        """Return the paths of a commit whose content is not in the repository."""
        missing = set(self._missing_blobs(commit))
        return self._paths(commit, missing) if missing else []

    def _missing_blobs(self, commit: str) -> list[str]:
        options = ("--objects", "--no-walk", "--missing=print", "--no-object-names")
        listed = self.git("rev-list", *options, commit).stdout.splitlines()
        return [line[1:] for line in listed if line.startswith("?")]

    def _paths(self, commit: str, blobs: set[str]) -> list[str]:
        listed = self.git("ls-tree", "-r", "-z", commit).stdout.split("\0")
        pairs = (line.partition("\t") for line in listed if line)
        return [path for columns, _, path in pairs if columns.split()[2] in blobs]

    def _files_below(self, commit: str, path: str) -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", "-z", commit, path).stdout.split("\0")[:-1]

    def _write_without(self, missing: list[str], folder: Path) -> Result:
        """Write the files of a worktree without the missing ones; git does not report these.

        The sparse options are passed to this one command: before git 2.36 the configuration of a
        bare repository cannot contain them. The index is written last.
        """
        patterns = Git(folder).run("rev-parse", "--git-path", "info/sparse-checkout")
        escaped = [re.sub(r"([][*?!#\\])", r"\\\1", path) for path in missing]
        text = "".join(f"!/{path}\n" for path in escaped)
        files.write(folder / patterns.stdout.strip(), f"/*\n{text}")
        sparse = ("-c", "core.sparseCheckout=true", "-c", "core.sparseCheckoutCone=false")
        return Git(folder).run(*sparse, "read-tree", "-m", "-u", "HEAD", check=False)


def _incomplete(reason: str) -> Incomplete:
    return Incomplete(
        f"the repository is incomplete: {reason}",
        "repair it (git fsck lists missing objects), or set origin.path to a complete worktree",
    )
