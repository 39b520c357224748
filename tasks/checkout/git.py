"""Origin: a git repository."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from tasks.checkout.base import TREE_GIB, NoSuchVersion, Unreachable, slug
from tasks.checkout.git_store import Store
from tasks.core import console
from tasks.core.redact import mask
from tasks.kubernetes.releases import is_minor, newest
from tasks.kubernetes.tree import Checkout, guess_version, is_version, require_kubernetes
from tasks.settings.load import Settings
from tasks.system import resources


class Git:
    """A git repository, remote or local, bare or not."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.name = f"git {mask(url)}"
        self.store = Store(settings, url)

    def checkout(self, requested: str) -> Checkout:
        """Fetch one commit, without history if the server allows it, and write a worktree of it.

        If the address does not answer, a release that was checked out earlier is used.
        """
        with self.store.locked():
            try:
                refs = self.store.refs()
                ref, version = self._choose_ref(requested, refs)
                folder, commit = self._fetch_worktree(requested, ref, version, refs)
            except Unreachable:
                version = self._earlier_release(requested)
                folder = self.settings.paths.source / version
                commit = self.store.commit(f"refs/stepkube/{version}")
                if not (version and commit and self.store.is_complete(folder)):
                    raise
                console.say(f"  {self.name} cannot be reached: using {version} of an earlier run")
        require_kubernetes(folder, self.name)
        stamp = self.settings.build.version_stamp or version or guess_version(folder, commit)
        return Checkout(folder, stamp, commit, self.name, requested)

    def _fetch_worktree(
        self, requested: str, ref: str, version: str, refs: Mapping[str, str]
    ) -> tuple[Path, str]:
        """Fetch a ref; return the folder of its worktree and its commit."""
        known = refs.get(ref) or next((c for c in refs.values() if c.startswith(ref)), ref)
        if not self.store.commit(known):
            resources.require_disk(self.settings.paths.home, TREE_GIB, "the Kubernetes source")
        commit = self.store.fetch(ref, known)
        folder = self.settings.paths.source / (version or f"{slug(requested)}-{commit[:12]}")
        if self._has_worktree(folder):
            self.store.update_worktree(folder, commit, requested)
        else:
            self.store.write_worktree(folder, commit)
        if version:
            self.store.git("update-ref", f"refs/stepkube/{version}", commit)
        return folder, commit

    def _earlier_release(self, requested: str) -> str:
        """Return the requested release, or a minor's newest, of an earlier run; empty if none."""
        listing = self.store.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/stepkube")
        names = listing.stdout.split()
        if is_minor(requested):
            return newest(requested, names)
        return requested if is_version(requested) and requested in names else ""

    def _has_worktree(self, folder: Path) -> bool:
        """Return whether the folder is a complete worktree, also one from another address."""
        return (folder / "cmd").is_dir() and self.store.is_complete(folder)

    def _choose_ref(self, requested: str, refs: dict[str, str]) -> tuple[str, str]:
        """Return the ref (or commit) to fetch, and its release; empty if it is not a release."""
        tags = {name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/")}
        release = newest(requested, tags)
        if requested == "auto" and not release:
            refs |= self.store.refs("HEAD")
            if "HEAD" not in refs:
                raise NoSuchVersion("the repository is empty")
            console.say(f"  {self.name} has no release tag: using its HEAD")
            return "HEAD", _tag_at(refs["HEAD"], refs)
        if requested in tags:
            return f"refs/tags/{requested}", requested if is_version(requested) else ""
        if f"refs/heads/{requested}" in refs:
            return f"refs/heads/{requested}", _tag_at(refs[f"refs/heads/{requested}"], refs)
        if release and (requested == "auto" or is_minor(requested)):
            return f"refs/tags/{release}", release
        if re.fullmatch(r"[0-9a-f]{7,40}", requested):
            return requested, ""
        similar = [tag for tag in sorted(tags, reverse=True) if tag.startswith(f"{requested}.")][:3]
        similar = similar or difflib.get_close_matches(requested, sorted(tags), n=3, cutoff=0.7)
        tail = f"; similar: {', '.join(similar)}" if similar else f" among its {len(tags)} tags"
        raise NoSuchVersion(f"there is no tag or branch {requested}{tail}")


def _tag_at(commit: str, refs: Mapping[str, str]) -> str:
    """Return the version tag of a commit; empty if it has none."""
    names = (name.removeprefix("refs/tags/") for name, at in refs.items() if at == commit)
    return next(filter(is_version, sorted(names)), "")
