"""The Origin protocol, its errors, and functions that several origins use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tasks.core.errors import Failure
from tasks.kubernetes.tree import Checkout
from tasks.system.git import Git

VERSION_SCRIPT = Path("hack/lib/version.sh")
NO_DATE = "2000-01-01T00:00:00Z"
"""Date of a commit whose files have no common date."""
TREE_GIB = 2.0
"""GiB: upper limit for a checked out tree, its archive and its git objects."""


class Unreachable(Failure):
    """The origin does not answer; another origin may."""


class Incomplete(Failure):
    """The origin has the version, but some of its files are missing."""


class NoSuchVersion(Failure):
    """The origin answers, but it does not have the version."""


class Origin(Protocol):
    """A place from which a version can be checked out."""

    name: str
    """The name in messages."""

    def checkout(self, requested: str) -> Checkout:
        """Return a tree of the requested version.

        `auto` is the newest release, a minor (v1.32) its newest release; see newest and satisfies
        in tasks/kubernetes/releases.py. Raises Unreachable, Incomplete or NoSuchVersion.
        """


def slug(text: str) -> str:
    """Return a text as a folder name."""
    return re.sub(r"[^0-9A-Za-z.+-]+", "-", text).strip("-.") or "source"


def start_repository(tree: Path) -> None:
    """Initialize a git repository in a folder."""
    Git(tree).run("init", "--quiet", "--initial-branch=stepkube")


def version_script(tree: Path) -> str:
    """Return hack/lib/version.sh, into which `git archive` writes tag and commit; else empty."""
    script = tree / VERSION_SCRIPT
    return script.read_text(errors="replace") if script.is_file() else ""


def stated_commit(tree: Path) -> str:
    """Return the upstream commit that `git archive` wrote into the tree, else our imported commit.

    40 zeros if the tree has neither.
    """
    match = re.search(r"KUBE_GIT_COMMIT='([0-9a-f]{40})'", version_script(tree))
    if match:
        return match[1]
    is_top = (tree / ".git").is_dir()  # else git would use a repository around the tree
    head = Git(tree).run("rev-parse", "--verify", "HEAD", check=False) if is_top else None
    return (head.stdout.strip() if head else "") or "0" * 40


def commit_everything(git: Git, message: str, date: str, *, without: Sequence[str] = ()) -> None:
    """Commit all files of a folder; the same files, message and date give the same commit.

    `without` are pathspecs to exclude.
    """
    compression = ("-c", "core.compression=1")
    git.run(*compression, "add", "--all", "--force", "--", ".", *without)
    user = ("-c", "user.name=stepkube", "-c", "user.email=stepkube@localhost")
    options = ("--quiet", "--no-verify", f"--message={message}")
    git.run(
        *user,
        "-c",
        "commit.gpgsign=false",
        "commit",
        *options,
        env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
    )
