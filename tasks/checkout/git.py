"""The origin most people use: a git repository, remote or local, bare or not."""

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

    def checkout(self, wanted: str) -> Checkout:
        """Fetch one commit, without history where the server allows it, into its own worktree.

        A release that was checked out before is used as it is when the address does not answer.
        """
        with self.store.opened():
            try:
                refs = self.store.refs()
                ref, version = self._choose(wanted, refs)
                folder, commit = self._take(wanted, ref, version, refs)
            except Unreachable:
                version = self._kept(wanted)
                folder = self.settings.paths.source / version
                commit = self.store.commit(f"refs/stepkube/{version}")
                if not (version and commit and self.store.is_whole(folder)):
                    raise
                console.say(f"  {self.name} cannot be reached: {version} is kept from before")
        require_kubernetes(folder, self.name)
        stamp = self.settings.build.version_stamp or version or guess_version(folder, commit)
        return Checkout(folder, stamp, commit, self.name, wanted)

    def _take(
        self, wanted: str, ref: str, version: str, refs: Mapping[str, str]
    ) -> tuple[Path, str]:
        """Return the folder of the worktree, and the commit it was made of."""
        known = refs.get(ref) or next((c for c in refs.values() if c.startswith(ref)), ref)
        if not self.store.commit(known):
            resources.require_disk(self.settings.paths.home, TREE_GIB, "the Kubernetes source")
        commit = self.store.fetch(ref, known)
        folder = self.settings.paths.source / (version or f"{slug(wanted)}-{commit[:12]}")
        if self._elsewhere(folder):
            self.store.bring(folder, commit, wanted)
        else:
            self.store.worktree(folder, commit)
        if version:
            self.store.git("update-ref", f"refs/stepkube/{version}", commit)
        return folder, commit

    def _kept(self, wanted: str) -> str:
        """Return the release, the newest of a minor, that was checked out before; empty if none."""
        kept = self.store.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/stepkube")
        names = kept.stdout.split()
        if is_minor(wanted):
            return newest(wanted, names)
        return wanted if is_version(wanted) and wanted in names else ""

    def _elsewhere(self, folder: Path) -> bool:
        """Tell whether another address brought this very version already."""
        return (folder / "cmd").is_dir() and self.store.is_whole(folder)

    def _choose(self, wanted: str, refs: dict[str, str]) -> tuple[str, str]:
        """Return the ref (or commit) to fetch and the release it is, if it is one."""
        tags = {name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/")}
        release = newest(wanted, tags)
        if wanted == "auto" and not release:
            refs |= self.store.refs("HEAD")
            if "HEAD" not in refs:
                raise NoSuchVersion("the repository is empty")
            console.say(f"  {self.name} has no release tag: taking its HEAD")
            return "HEAD", _tag_at(refs["HEAD"], refs)
        if wanted in tags:
            return f"refs/tags/{wanted}", wanted if is_version(wanted) else ""
        if f"refs/heads/{wanted}" in refs:
            return f"refs/heads/{wanted}", _tag_at(refs[f"refs/heads/{wanted}"], refs)
        if release and (wanted == "auto" or is_minor(wanted)):
            return f"refs/tags/{release}", release
        if re.fullmatch(r"[0-9a-f]{7,40}", wanted):
            return wanted, ""
        near = [tag for tag in sorted(tags, reverse=True) if tag.startswith(f"{wanted}.")][:3]
        near = near or difflib.get_close_matches(wanted, sorted(tags), n=3, cutoff=0.7)
        has = f"; it has {', '.join(near)}" if near else f" among its {len(tags)} tags"
        raise NoSuchVersion(f"there is no tag or branch {wanted}{has}")


def _tag_at(commit: str, refs: Mapping[str, str]) -> str:
    """Return the version that a tag gives to a commit, empty when none does."""
    names = (name.removeprefix("refs/tags/") for name, at in refs.items() if at == commit)
    return next(filter(is_version, sorted(names)), "")
