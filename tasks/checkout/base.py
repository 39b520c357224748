"""What every origin can do, and the ways in which it can be of no help."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tasks.core.errors import Failure
from tasks.kubernetes.tree import GIT, Checkout
from tasks.system.run import run

VERSION_SCRIPT = Path("hack/lib/version.sh")
NO_DATE = "2000-01-01T00:00:00Z"
"""The date of a commit whose files have none of their own."""
TREE_GIB = 2.0
"""GiB a checked out tree, its archive and its git objects take at the most."""


class Unreachable(Failure):
    """The origin does not answer; another one may."""


class Incomplete(Failure):
    """The origin answers and has the version, but has lost some of its files."""


class NoSuchVersion(Failure):
    """The origin answers, but does not have the version."""


class Origin(Protocol):
    """A place that can check out a version."""

    name: str

    def checkout(self, wanted: str) -> Checkout:
        """Return a tree at the wanted version, `auto` meaning the newest release.

        Of a minor (v1.32) it is the newest release too; see newest and satisfies.
        """


def slug(text: str) -> str:
    """Return a text as a folder name."""
    return re.sub(r"[^0-9A-Za-z.+-]+", "-", text).strip("-.") or "source"


def start_repository(tree: Path) -> None:
    """Make an empty git repository of a folder."""
    run(*GIT, "init", "--quiet", "--initial-branch=stepkube", cwd=tree)


def version_script(tree: Path) -> str:
    """Return the script into which `git archive` writes tag and commit, empty without one."""
    script = tree / VERSION_SCRIPT
    return script.read_text(errors="replace") if script.is_file() else ""


def stated_commit(tree: Path) -> str:
    """Return upstream's commit as `git archive` wrote it down, else that of our own import."""
    found = re.search(r"KUBE_GIT_COMMIT='([0-9a-f]{40})'", version_script(tree))
    if found:
        return found[1]
    own = (tree / ".git").is_dir()  # else git would tell of a repository around it
    head = run(*GIT, "rev-parse", "--verify", "HEAD", cwd=tree, check=False) if own else None
    return (head.stdout.strip() if head else "") or "0" * 40


def commit_everything(
    tree: Path, message: str, date: str, *, git: Sequence[str] = GIT, without: Sequence[str] = ()
) -> None:
    """Commit all files of a folder as a commit that anybody who does the same gets too."""
    run(*git, "add", "--all", "--force", "--", ".", *without, cwd=tree)
    who = ("-c", "user.name=stepkube", "-c", "user.email=stepkube@localhost")
    run(
        "env",
        f"GIT_AUTHOR_DATE={date}",
        f"GIT_COMMITTER_DATE={date}",
        *git,
        *who,
        "-c",
        "commit.gpgsign=false",
        "commit",
        "--quiet",
        "--no-verify",
        "--message",
        message,
        cwd=tree,
    )
