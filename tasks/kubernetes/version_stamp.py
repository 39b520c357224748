"""The version a tree stamps into its binaries, by the rules of upstream's hack/lib/version.sh."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core.errors import Failure
from tasks.kubernetes.tree import Checkout, guess_version, is_version
from tasks.system.run import run

SCRIPT = "hack/lib/version.sh"
_NUMBERS = re.compile(r"v(\d+)\.(\d+)(?:\.\d+)?(-.*)?(?:\+.*)?")
_TOLD = re.compile(r"^(?:export )?KUBE_GIT_(\w+)=(['\"]?)(.*)\2\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Told:
    """What a file says of the tree it came with; a version it does not tell is empty."""

    version: str
    commit: str
    state: str


def describe(text: str) -> str:
    """Return what `git describe --abbrev=14` says as a semantic version, or what it was given.

    v1.1.0-1-gHASH becomes v1.1.0-1+HASH, v1.1.0-alpha.0-6-gHASH becomes v1.1.0-alpha.0.6+HASH.
    """
    found = re.fullmatch(r"(v[^-]+)(-[^-]+)?-(\d+)-g([0-9a-f]{14,40})", text)
    return counted(f"{found[1]}{found[2] or ''}", int(found[3]), found[4]) if found else text


def counted(version: str, commits: int, commit: str) -> str:
    """Return the version of a commit that comes so many commits after a version."""
    base = version.partition("+")[0]
    return f"{base}{'.' if '-' in base else '-'}{commits}+{commit[:14]}"


def of_worktree(checkout: Checkout) -> str:
    """Return the version of a git worktree: by its tags, else by what the tree tells."""
    words = ("describe", "--tags", "--match=v1.*", "--abbrev=14")
    said = run(*checkout.git, *words, cwd=checkout.tree, check=False).stdout.strip()
    version = describe(said)
    return version if is_version(version) else guess_version(checkout.tree, checkout.commit)


def stamp_now(checkout: Checkout) -> Checkout:
    """Return a checkout with the commits that were made in it since it was taken."""
    current = head(checkout)
    if current in ("", checkout.commit):
        return checkout
    words = ("rev-list", "--count", f"{checkout.commit}..HEAD")
    count = run(*checkout.git, *words, cwd=checkout.tree, check=False)
    if count.code:
        return checkout
    version = counted(checkout.version, int(count.stdout), current)
    return replace(checkout, commit=current, version=version)


def head(checkout: Checkout) -> str:
    """Return the commit a worktree is at, empty where git does not tell the version."""
    if checkout.state or checkout.repository:
        return ""
    return run(*checkout.git, "rev-parse", "HEAD", cwd=checkout.tree, check=False).stdout.strip()


def archived(tree: Path) -> Told | None:
    """Return what `git archive` wrote into a tree of no repository, None when it did not.

    The script holds $Format:...$ marks that git replaces; a tag among them is the version.
    """
    script = tree / SCRIPT
    text = script.read_text(errors="replace") if script.is_file() else ""
    commit = re.search(r"KUBE_GIT_COMMIT='([0-9a-f]{40})'", text)
    if commit is None:
        return None
    tag = re.search(r"\[\[ '[^'\n]*\btag: (v[^ ,'\n]+)[^'\n]*' =~ tag:", text)
    return Told(tag[1] if tag and is_version(tag[1]) else "", commit[1], "archive")


def from_file(path: Path, where: str) -> Told:
    """Return what a file of KUBE_GIT_...='...' lines says, which upstream's make can write.

    Raises Failure naming the setting, the file and the line that is missing or wrong.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{where}: cannot read {path}: {error}", "name another file") from None
    values = {name: value for name, _, value in _TOLD.findall(text)}
    version = values.get("VERSION", "")
    if not is_version(version):
        raise Failure(
            f"{where}: {path} names no version (KUBE_GIT_VERSION is {version!r})",
            "give it lines such as KUBE_GIT_VERSION='v1.30.0'",
        )
    return Told(version, values.get("COMMIT", ""), values.get("TREE_STATE", "") or "clean")


def values(checkout: Checkout, *, dirty: bool, date: str) -> dict[str, str]:
    """Return what a binary of a checkout says of itself.

    What a file or an archive told is stamped as it stands; else edits make the tree dirty.
    """
    state, version = checkout.state, checkout.version
    if not state:
        state = "dirty" if dirty else "clean"
        version += "-dirty" if dirty else ""
    numbers = _NUMBERS.fullmatch(version)
    major, minor, more = numbers.groups() if numbers else ("", "", "")
    return {
        "buildDate": date,
        "gitCommit": checkout.commit,
        "gitTreeState": state,
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": f"{minor}+" if more else minor,
    }
