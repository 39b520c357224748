"""A private bare repository per git address, filled in steps that an interruption cannot undo.

git cannot continue a broken transfer, so a big one is made of small ones: first one commit with
its folders, then its files by the thousand. What came is kept; only what lacks is asked for again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tasks import report
from tasks.failure import Failure
from tasks.origins.base import NoSuchVersion, Unreachable
from tasks.settings import Settings
from tasks.system import files, mask, network
from tasks.system.run import Result, follow, run
from tasks.tree import GIT

PARTIAL = (2, 29)
"""The first git that fetches files by name without telling the server what it has already."""
_BATCH = 2000
_TRIES = 3
_REFUSED = re.compile(
    r"not our ref|unadvertised object|dumb http|not support|couldn't find remote ref|a shallow repo"
)
_HELPER = '!f() { echo "username=$STEPKUBE_GIT_USER"; echo "password=$STEPKUBE_GIT_WORD"; }; f'


class Store:
    """The objects fetched from one address, and the worktrees made of them."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.url, self._user, self._word = mask.split(_absolute(url))
        self.folder = settings.paths.cache / "git" / files.digest(self.url)[:16]

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the repository, or mend what a killed run left of it, and keep others out."""
        with files.locked(self.folder.with_name(f"{self.folder.name}.lock")):
            if self.folder.is_dir():
                self._mend()
            if not self.folder.is_dir():
                making = self.folder.with_name(f".{self.folder.name}.making")
                shutil.rmtree(making, ignore_errors=True)
                run(*GIT, "init", "--quiet", "--bare", making, env=self._environment())
                making.rename(self.folder)
            self.git("config", "remote.origin.url", self.url)
            yield

    def refs(self, *words: str) -> dict[str, str]:
        """Return ref name -> commit: of the names given, else of all branches and tags.

        Raises Unreachable when the address does not answer.
        """
        limit = self.settings.origin.timeout
        which = (self.url, *words) if words else ("--heads", "--tags", self.url)
        argv = (*GIT, *self._config(), "ls-remote", *which)
        try:
            listing = run(*argv, timeout=limit, check=False, env=self._environment())
        except Failure as failure:
            raise Unreachable(f"no answer within {limit:g} s", failure.hint) from failure
        if listing.code:
            raise Unreachable(_reason(listing.tail()))
        pairs = (line.partition("\t")[::2] for line in listing.stdout.splitlines())
        found = {name: commit for commit, name in pairs}
        return {name: found.get(f"{name}^{{}}", commit) for name, commit in found.items()}

    def fetch(self, ref: str, known: str) -> str:
        """Bring a commit with all its files in; return its full name.

        `ref` is a ref of the address or a commit, `known` the commit it is as far as one can tell.
        Raises Unreachable when the transfer breaks off, NoSuchVersion when there is no such commit.
        """
        commit = self.commit(known)
        if commit and self.git("rev-parse", "--quiet", "--verify", f"refs/kept/{commit}").stdout:
            return commit
        full = len(known) == 40
        partial = ("--filter=blob:none",) if git_version() >= PARTIAL else ()
        if not commit:
            said = self._transfer(ref, *partial, "--depth=1", known) if full else "not our ref"
            if _REFUSED.search(said):
                everything = [f"+refs/{kind}/*:refs/origin/{kind}/*" for kind in ("heads", "tags")]
                some = ("--no-filter",) if full and partial else partial  # it would be remembered
                said = self._transfer(ref, *some, "--update-shallow", *everything)
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
        report.progress(f"writing {folder}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.git("worktree", "prune")
        try:
            added = self.git("worktree", "add", "--quiet", "--force", "--detach", folder, commit)
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
        report.say(f"  {wanted} was moved from {head[:12]} to {commit[:12]}")
        run(*here, "checkout", "--quiet", "--detach", commit)

    def is_whole(self, folder: Path) -> bool:
        """Tell whether a worktree was written to its end: git writes its index last."""
        if not (folder / ".git").exists():
            return False
        found = run(*GIT, "rev-parse", "--git-path", "index", cwd=folder, check=False)
        return found.code == 0 and (folder / found.stdout.strip()).is_file()

    def git(self, *argv: str | Path) -> Result:
        """Run git in the repository; the caller looks at how it ended."""
        return run(*GIT, "-C", self.folder, *argv, env=self._environment(), check=False)

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
        for start in range(0, len(missing), _BATCH):
            what = f"files of {commit[:12]}, {start} of {len(missing)}"
            some = missing[start : start + _BATCH]
            options = ("--filter=blob:none", "--no-write-fetch-head")
            said = self._transfer(what, *options, *some, haves="noop")
            if said:
                here = f"{start} of {len(missing)} files came and are kept: run it again to go on"
                raise Unreachable(f"{said} ({here})")
        if missing and self._missing(commit):
            raise Unreachable(f"the server does not give all files of {commit}")

    def _missing(self, commit: str) -> list[str]:
        words = ("--objects", "--no-walk", "--missing=print", "--no-object-names")
        listed = self.git("rev-list", *words, commit).stdout.splitlines()
        return [line[1:] for line in listed if line.startswith("?")]

    def _transfer(self, what: str, *words: str, haves: str = "default") -> str:
        """Fetch from the address, again when it breaks off; return why not, or an empty text.

        With `haves="noop"` the server is not told what is here: it would leave out the files of a
        commit that it thinks we have.
        """
        beat = report.Heartbeat()
        options = ("--progress", "--no-tags", "--recurse-submodules=no")
        said: list[str] = []

        def heed(line: str) -> None:
            beat.beat(f"fetching {what} from {mask.mask(self.url)}: {line.strip()}")
            if not re.search(r"\d+%|^remote: (Enum|Count|Compr|Total)|^From ", line):
                said.append(line)

        refs = [word for word in words if not word.startswith("--")]
        flags = [word for word in words if word.startswith("--")]
        for _ in range(_TRIES):
            said.clear()
            config = (*self._config(), "-c", f"fetch.negotiationAlgorithm={haves}")
            if not follow(
                *GIT, *config, "-C", self.folder, "fetch", *options, *flags, "origin", *refs,
                on_line=heed, env=self._environment(),
            ):
                return ""
            if any(_REFUSED.search(line) for line in said):
                break
        return _reason("\n".join(said)) or "the transfer broke off"

    def _config(self) -> list[str]:
        """Return git's words for a transfer that may not stall and logs in when it is asked to."""
        words = [
            "gc.auto=0",
            "maintenance.auto=false",
            "http.lowSpeedLimit=1",
            f"http.lowSpeedTime={max(1, round(self.settings.mirror.timeout))}",
        ]
        if self._user or self._word:
            parts = urlsplit(self.url)
            words.append(f"credential.{parts.scheme}://{parts.netloc}.helper={_HELPER}")
        return [word for pair in words for word in ("-c", pair)]

    def _environment(self) -> dict[str, str]:
        """Return an environment in which git asks nobody and no argument holds a password."""
        env = network.environment(self.settings)
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
            env.pop(name, None)
        return env | {
            "GCM_INTERACTIVE": "never",
            "GIT_ASKPASS": "",
            "GIT_SSH_COMMAND": f"{env.get('GIT_SSH_COMMAND') or 'ssh'} -o BatchMode=yes",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
            "SSH_ASKPASS_REQUIRE": "never",
            "STEPKUBE_GIT_USER": self._user,
            "STEPKUBE_GIT_WORD": self._word,
        }


def git_version() -> tuple[int, int]:
    """Return the version of git as numbers."""
    match = re.search(r"(\d+)\.(\d+)", run("git", "version").stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _absolute(url: str) -> str:
    """Return a local path as an absolute one: git would look for it below its own folder."""
    place = Path(url).expanduser()
    if "://" not in url and place.exists():
        return os.path.abspath(place)  # noqa: PTH100 - links stay as they were written
    return url


def _reason(said: str) -> str:
    """Return the line of git's that says what is wrong, with the setting that mends it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    text = told[0] if told else ""
    if re.search(r"certificate", text, re.IGNORECASE):
        text += "; name the authority that signed it in mirror.ca_bundle (SSL_CERT_FILE)"
    return text
