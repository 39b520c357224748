"""Checks for folders whose path a program of the build cannot handle."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.build import prebuilt
from tasks.build.edits import OPENAPI
from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.settings.load import Settings
from tasks.settings.paths import user_path

NEWEST_WITH_MAKE = Minor(1, 23)
"""The last minor whose generated code is made by upstream's Makefile."""
_MAKE = re.compile(r"[\s\"#$%&'()*;<=>?\[\]\\`{|}~!]")
"""Characters that GNU make or upstream's scripts do not take as part of a path."""


def folder_problems(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for a workspace or a tree in a folder where the build would fail."""
    home = str(settings.paths.home)
    hint = "set STEPKUBE_HOME to a folder"
    if re.search(r"[:\n]", home):
        yield Failure(
            f"STEPKUBE_HOME: {home!r} contains a colon or a line break, which separate"
            " the entries of PATH and GOPATH",
            f"{hint} without them",
        )
    tree = user_path(settings.origin.path) if settings.origin.path else None
    if tree is not None and "\n" in str(tree):
        yield Failure(
            f"{settings.source('origin.path')}: {str(tree)!r} contains a line break",
            "rename the folder",
        )
    needs_make = minor <= NEWEST_WITH_MAKE and not prebuilt.is_used(settings)
    if needs_make and tree is not None and (tree / OPENAPI).is_file():
        needs_make = False
    found = _MAKE.search(home) if needs_make else None
    if found:
        yield Failure(
            f"STEPKUBE_HOME: {home!r} contains {found[0]!r}; the build of Kubernetes {minor} runs"
            " make there, which does not take it in a path",
            f"{hint} without it, or set origin.path to a tree that has {OPENAPI}",
        )
