"""Which files missing from an incomplete repository a build does not need.

They are often the largest files of the tree.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

VENDOR = "vendor/"
_UNUSED = re.compile(r"(api/openapi-spec|docs|(Godeps/)?LICENSES)(/|$)|(.*/)?(testdata|artifacts)/")
"""Matches files that no build reads."""


def is_dispensable(path: str, *, by_modules: bool) -> bool:
    """Return whether a build does not need a file of the tree.

    A tree that is built by Go modules (`by_modules`) does not need vendor/: the build fetches the
    modules, see `first_missing_package` in tasks/build/layout.py.
    """
    return bool(_UNUSED.match(path)) or (by_modules and path.startswith(VENDOR))


def undetectable_loss(lost: Iterable[str], vendored: Collection[str]) -> str:
    """Return a lost file of vendor/ whose loss the build would not notice in time; else empty.

    The build notices a damaged vendor/ only when a package has no Go file left. `vendored` are the
    paths of all files of vendor/, also of the lost ones.
    """
    code = {path for path in lost if path.startswith(VENDOR) and path.endswith(".go")}
    with_code = {_folder(path) for path in vendored if path.endswith(".go") and path not in code}
    noticed = any(_folder(path) not in with_code for path in code)
    return "" if noticed or not code else min(code)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
