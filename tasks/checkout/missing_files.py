"""Which files a tree can do without that its repository has lost: often the largest ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

VENDOR = "vendor/"
_UNUSED = re.compile(r"(api/openapi-spec|docs|(Godeps/)?LICENSES)(/|$)|(.*/)?(testdata|artifacts)/")
"""What no module is built of."""


def is_dispensable(path: str, *, by_modules: bool) -> bool:
    """Tell whether a tree without this file will do; one built by modules gets vendor/ elsewhere.

    See `first_missing_package` in tasks/build/layout.py.
    """
    return bool(_UNUSED.match(path)) or (by_modules and path.startswith(VENDOR))


def undetectable_loss(lost: Iterable[str], vendored: Collection[str]) -> str:
    """Return a lost file of vendor/ that a build would not miss in time; empty for none.

    Only a package that lost all its code tells that vendor/ is not to be used. `vendored` are the
    names of all files that vendor/ is to have.
    """
    code = {path for path in lost if path.startswith(VENDOR) and path.endswith(".go")}
    left = {_folder(path) for path in vendored if path.endswith(".go") and path not in code}
    told = any(_folder(path) not in left for path in code)
    return "" if told or not code else min(code)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
