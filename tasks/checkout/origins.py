"""The origins of the Kubernetes source that the settings allow, in order."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.checkout import from_bundle
from tasks.checkout.base import Origin
from tasks.checkout.debian import DebianPackage
from tasks.checkout.git import Git
from tasks.checkout.module_proxy import ModuleProxy
from tasks.checkout.tarball import Tarball
from tasks.checkout.worktree import Worktree
from tasks.gomod import goproxy
from tasks.kubernetes import bundle_record
from tasks.settings.load import Settings


def origins_to_try(settings: Settings) -> Iterator[Origin]:
    """Yield the origins to try, in order; a worktree in origin.path is the only one."""
    order, origin = settings.origin.order, settings.origin
    if origin.path and order in ("auto", "path"):
        yield Worktree(settings)
        return
    record = bundle_record.imported_bundle(settings)
    if record is not None:
        yield from_bundle.FromBundle(settings, record)
    if origin.tarball and order in ("auto", "tarball"):
        yield Tarball(settings)
    if order in ("auto", "git"):
        for url in (*settings.mirror.git, *origin.git):
            yield Git(settings, url)
    if order in ("auto", "apt") and origin.apt:
        yield DebianPackage(settings)
    if order in ("auto", "goproxy") and goproxy.addresses(settings):
        yield ModuleProxy(settings)
