"""Where source comes from: a worktree, an archive, git, a source package, a module proxy."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.origins import bundled
from tasks.origins.base import Origin
from tasks.origins.git import Git
from tasks.origins.modules import Modules
from tasks.origins.package import Package
from tasks.origins.tarball import Tarball
from tasks.origins.worktree import Worktree
from tasks.settings.load import Settings
from tasks.gomod import goproxy


def of(settings: Settings) -> Iterator[Origin]:
    """Yield the origins to try, in order."""
    order, origin = settings.origin.order, settings.origin
    if origin.path and order in ("auto", "path"):
        yield Worktree(settings)
        return
    record = bundled.taken(settings)
    if record is not None:
        yield bundled.Bundled(settings, record)
    if origin.tarball and order in ("auto", "tarball"):
        yield Tarball(settings)
    if order in ("auto", "git"):
        for url in (*settings.mirror.git, *origin.git):
            yield Git(settings, url)
    if order in ("auto", "apt") and origin.apt:
        yield Package(settings)
    if order in ("auto", "goproxy") and goproxy.addresses(settings):
        yield Modules(settings)
