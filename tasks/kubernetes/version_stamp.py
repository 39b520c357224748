"""The version stamp of a tree's binaries, by the rules of upstream's hack/lib/version.sh."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core.errors import Failure
from tasks.kubernetes import releases
from tasks.kubernetes.tree import Checkout, guess_version, is_version

MOST_OTHER_TAGS = 50
"""Number of tags v1.* without a version that are skipped in the history."""
SCRIPT = "hack/lib/version.sh"
_NUMBERS = re.compile(r"v([0-9]{1,9})\.([0-9]{1,9})(?:\.[0-9]{1,9})?(-.*)?(?:\+.*)?")
_ASSIGNMENT = re.compile(r"^(?:export )?KUBE_GIT_(\w+)=(['\"]?)(.*)\2\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Stamp:
    """Version, commit and state of a tree, as one of its files names them."""

    version: str
    """Empty if the file names none."""
    commit: str
    state: str


def describe(text: str) -> str:
    """Return the output of `git describe --abbrev=14` as a semantic version.

    v1.1.0-1-gHASH becomes v1.1.0-1+HASH, v1.1.0-alpha.0-6-gHASH becomes v1.1.0-alpha.0.6+HASH.
    Other texts are returned unchanged.
    """
    match = re.fullmatch(r"(v[^-]+)(-[^-]+)?-([0-9]{1,9})-g([0-9a-f]{14,40})", text)
    return _add_commits(f"{match[1]}{match[2] or ''}", int(match[3]), match[4]) if match else text


def _add_commits(version: str, commits: int, commit: str) -> str:
    """Return the version of a commit that is a number of commits after a version."""
    base = version.partition("+")[0]
    return f"{base}{'.' if '-' in base else '-'}{commits}+{commit[:14]}"


def worktree_version(checkout: Checkout) -> str:
    """Return the version of a git worktree: from its nearest tag, else from files of the tree.

    git matches tags only by globs, so a tag such as v1.x-backup is found and then excluded.
    """
    excluded: list[str] = []
    arguments = ("describe", "--tags", "--match=v1.*", "--abbrev=14")
    while len(excluded) < MOST_OTHER_TAGS:
        text = checkout.git.run(*arguments, *excluded, check=False).stdout.strip()
        found = re.sub(r"-[0-9]{1,9}-g[0-9a-f]{14,40}$", "", text)
        if not found:
            break
        tag = _best_tag(checkout, found)
        if tag:
            version = describe(tag + text.removeprefix(found))
            return version if is_version(version) else guess_version(checkout.tree, checkout.commit)
        excluded.append(f"--exclude={found}")
    return guess_version(checkout.tree, checkout.commit)


def _best_tag(checkout: Checkout, tag: str) -> str:
    """Return upstream's newest tag at the commit of a tag, else one that is a version; or empty."""
    arguments = ("tag", "--points-at", f"{tag}^{{commit}}", "--list", "v1.*")
    tags = sorted(filter(is_version, checkout.git.run(*arguments, check=False).stdout.split()))
    return next(reversed([name for name in tags if releases.is_release(name)] or tags), "")


def with_new_commits(checkout: Checkout) -> Checkout:
    """Return the checkout with commit and version of the worktree's current HEAD.

    Commits made after the checkout are counted in the version.
    """
    current = head_commit(checkout)
    if current in ("", checkout.commit):
        return checkout
    arguments = ("rev-list", "--count", f"{checkout.commit}..HEAD")
    count = checkout.git.run(*arguments, check=False)
    if count.code:
        return checkout
    version = _add_commits(checkout.version, int(count.stdout), current)
    return replace(checkout, commit=current, version=version)


def head_commit(checkout: Checkout) -> str:
    """Return the HEAD commit of a worktree; empty if the version does not come from git."""
    if checkout.state or checkout.repository:
        return ""
    return checkout.git.run("rev-parse", "HEAD", check=False).stdout.strip()


def from_archive(tree: Path) -> Stamp | None:
    """Return the stamp that `git archive` wrote into hack/lib/version.sh; None if there is none.

    The script contains $Format:...$ placeholders, which git replaces with commit and tag. The tag
    is the version.
    """
    script = tree / SCRIPT
    text = script.read_text(errors="replace") if script.is_file() else ""
    commit = re.search(r"KUBE_GIT_COMMIT='([0-9a-f]{40})'", text)
    if commit is None:
        return None
    tag = re.search(r"\[\[ '[^'\n]*\btag: (v[^ ,'\n]+)[^'\n]*' =~ tag:", text)
    return Stamp(tag[1] if tag and is_version(tag[1]) else "", commit[1], "archive")


def from_file(path: Path, where: str) -> Stamp:
    """Return the stamp in a file of KUBE_GIT_...='...' lines, as upstream's make can write it.

    Raises Failure with the setting (`where`), the file, and the missing or invalid line.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(
            f"{where}: cannot read {path}: {error}", "set build.version_file to another file"
        ) from None
    values = {name: value for name, _, value in _ASSIGNMENT.findall(text)}
    version = values.get("VERSION", "")
    if not is_version(version):
        raise Failure(
            f"{where}: {path} does not name a version (KUBE_GIT_VERSION is {version!r})",
            "add a line such as KUBE_GIT_VERSION='v1.30.0' to the file",
        )
    return Stamp(version, values.get("COMMIT", ""), values.get("TREE_STATE", "") or "clean")


def values(checkout: Checkout, *, dirty: bool, date: str) -> dict[str, str]:
    """Return the variables of the version package that are stamped into a binary.

    A state that a file or an archive names is used unchanged. Else edits make the tree dirty.
    """
    state, version = checkout.state, checkout.version
    if not state:
        state = "dirty" if dirty else "clean"
        version += "-dirty" if dirty else ""
    numbers = _NUMBERS.fullmatch(version)
    major, minor, suffix = numbers.groups() if numbers else ("", "", "")
    return {
        "buildDate": date,
        "gitCommit": checkout.commit,
        "gitTreeState": state,
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": f"{minor}+" if suffix else minor,
    }
