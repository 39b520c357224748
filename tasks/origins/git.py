"""The origin most people use: a git repository, remote or local, bare or not."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tasks import files, report, resources
from tasks.failure import Failure
from tasks.origins.base import TREE_GIB, NoSuchVersion, Unreachable, slug
from tasks.run import Result, run
from tasks.settings import Settings
from tasks.tree import GIT, Checkout, guess_version, is_version, require_kubernetes

_UNATTENDED = ("env", "GIT_TERMINAL_PROMPT=0", "GIT_SSH_COMMAND=ssh -o BatchMode=yes")


class Git:
    """A git repository, remote or local, bare or not."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.url = url
        self.name = f"git {url}"
        self.store = settings.paths.cache / "git" / files.digest(url)[:16]

    def checkout(self, wanted: str) -> Checkout:
        """Fetch one commit, without history where the server allows it, into its own worktree."""
        refs = self._refs()
        ref, version = self._choose(wanted, refs)
        resources.require_disk(self.settings.paths.home, TREE_GIB, "the Kubernetes source")
        commit = self._fetch(ref, refs)
        folder = self.settings.paths.source / (version or f"{slug(wanted)}-{commit[:12]}")
        if (folder / "cmd").is_dir():
            self._bring(folder, commit, wanted)
        else:
            self._worktree(folder, commit)
        require_kubernetes(folder, self.name)
        stamp = self.settings.build.version_stamp or version or guess_version(folder, commit)
        return Checkout(folder, stamp, commit, self.name, wanted)

    def _refs(self) -> dict[str, str]:
        """Return ref name -> commit of every branch and tag."""
        limit = self.settings.origin.timeout
        try:
            listing = self._git("ls-remote", self.url, timeout=limit, check=False)
        except Failure as failure:
            raise Unreachable(f"no answer within {limit:g} s", failure.hint) from failure
        if listing.code:
            raise Unreachable(listing.tail(1))
        refs = {}
        for line in listing.stdout.splitlines():
            commit, _, name = line.partition("\t")
            refs[name] = commit
        return {name: refs.get(f"{name}^{{}}", commit) for name, commit in refs.items()}

    def _choose(self, wanted: str, refs: dict[str, str]) -> tuple[str, str]:
        """Return the ref (or commit) to fetch and the release it is, if it is one."""
        tags = {name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/")}
        if wanted == "auto":
            releases = [tag for tag in tags if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
            if releases:
                newest = max(releases, key=lambda tag: [int(n) for n in tag[1:].split(".")])
                return f"refs/tags/{newest}", newest
            if "HEAD" not in refs:
                raise NoSuchVersion("the repository is empty")
            report.say(f"  {self.name} has no release tag: taking its HEAD")
            return "HEAD", _tag_at(refs["HEAD"], refs)
        if wanted in tags:
            return f"refs/tags/{wanted}", wanted if is_version(wanted) else ""
        if f"refs/heads/{wanted}" in refs:
            return f"refs/heads/{wanted}", _tag_at(refs[f"refs/heads/{wanted}"], refs)
        if re.fullmatch(r"[0-9a-f]{7,40}", wanted):
            return wanted, ""
        near = difflib.get_close_matches(wanted, sorted(tags), n=3, cutoff=0.7)
        has = f"; it has {', '.join(near)}" if near else f" among its {len(tags)} tags"
        raise NoSuchVersion(f"there is no tag or branch {wanted}{has}")

    def _fetch(self, ref: str, refs: dict[str, str]) -> str:
        """Bring one commit into the private store and return its full name."""
        if not (self.store / "HEAD").is_file():
            self._git("init", "--quiet", "--bare", self.store)
        known = refs.get(ref, ref)
        if self._commit(known):
            return self._commit(known)
        beat = report.Heartbeat()
        beat.beat(f"fetching {ref} from {self.url}")
        full = len(known) == 40
        argv = ("-C", self.store, "fetch", "--quiet", "--no-tags")
        shallow = self._git(
            *argv, "--depth=1", self.url, known if full else ref, check=False
        )
        if shallow.code:
            everything = "+refs/*:refs/origin/*"
            self._git(*argv, self.url, everything, hint="check origin.git and the network")
        commit = self._commit(known if shallow.code or full else "FETCH_HEAD")
        if not commit:
            raise NoSuchVersion(f"there is no commit {ref}")
        self._git("-C", self.store, "update-ref", f"refs/kept/{commit}", commit)
        return commit

    def _commit(self, name: str) -> str:
        result = self._git(
            "-C", self.store, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False
        )
        return result.stdout.strip()

    def _worktree(self, folder: Path, commit: str) -> None:
        report.progress(f"writing {folder}")
        if folder.exists():
            raise Failure(
                f"{folder} exists but is not a complete checkout",
                f"move your own files away and remove it: rm -r {folder}",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._git("-C", self.store, "worktree", "prune")
        try:
            self._git("-C", self.store, "worktree", "add", "--quiet", "--detach", folder, commit)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _bring(self, folder: Path, commit: str, wanted: str) -> None:
        """Bring a worktree to a commit that its tag was moved to; what is the user's stays.

        Commits made on top of it count as edits. Raises Failure where any work could be lost.
        """
        head = self._git("-C", folder, "rev-parse", "HEAD").stdout.strip()
        above = ("-C", folder, "merge-base", "--is-ancestor", commit, head)
        if head == commit or not self._git(*above, check=False).code:
            return
        mine = self._git("-C", folder, "status", "--porcelain").stdout.strip()
        ours = self._git(
            "-C", self.store, "rev-parse", "--verify", "--quiet", f"refs/kept/{head}", check=False
        )
        if mine or ours.code:
            work = "edits" if mine else "other commits"
            raise Failure(
                f"{folder} has {work} and is at {head[:12]}, but {wanted} is {commit[:12]}",
                f"to build it as it is: origin.path={folder}; else save your work and run"
                f" git -C {folder} checkout --detach {commit[:12]}",
            )
        report.say(f"  {wanted} was moved from {head[:12]} to {commit[:12]}")
        self._git("-C", folder, "checkout", "--quiet", "--detach", commit)

    def _git(
        self, *argv: str | Path, timeout: float | None = None, check: bool = True, hint: str = ""
    ) -> Result:
        return run(*_UNATTENDED, *GIT, *argv, timeout=timeout, check=check, hint=hint)


def _tag_at(commit: str, refs: Mapping[str, str]) -> str:
    """Return the version that a tag gives to a commit, empty when none does."""
    names = (name.removeprefix("refs/tags/") for name, at in refs.items() if at == commit)
    return next(filter(is_version, sorted(names)), "")
