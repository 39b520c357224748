"""Overlay: source files that are replaced in a build; the tree does not change.

The replacements lift kube-apiserver's fixed time limits for writes, so that a write can be paused
at a breakpoint. Go has -overlay since 1.16. An older Go runs its compiler through toolexec.sh,
which passes it the replacement. There, a //line directive keeps the real path and the line numbers
in the debug information.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tasks.core import console
from tasks.system import files

GO_WITH_OVERLAY = (1, 16)
"""First Go that has -overlay."""
GO_WITH_GCFLAGS_PATTERN = (1, 10)
"""First Go in which -gcflags takes a pattern; since then go has a cache of compiled packages."""
TOOLEXEC = Path(__file__).with_name("toolexec.sh")

LIMITS = {
    # 1.10 and 1.11: return 30 * time.Second; 1.12 to 1.20: 34; since 1.21: a constant
    "k8s.io/apiserver/pkg/endpoints/handlers/rest.go": re.compile(
        r"^((?:\treturn|\trequestTimeoutUpperBound =) )3[04] \* time\.Second$", re.MULTILINE
    ),
    # a write waits for the check of its quota; 1.10 to 1.19: in the tree's plugin folder
    "plugin/pkg/admission/resourcequota/controller.go": (
        _QUOTA := re.compile(r"^(\tcase <-time\.After\()10 \* time\.Second(?=\):$)", re.MULTILINE)
    ),
    "k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go": _QUOTA,
}
"""The time limits for writes: source file, and pattern of the limit after a group that stays."""
ROOTS = ("staging/src", "vendor", "")
"""Folders of a tree in which go can find these files; vendor/k8s.io has links to staging/src."""


def lifted_limits(tree: Path) -> dict[str, str]:
    """Return the text of each replaced file by path: its limit is 24 hours.

    A file in which the pattern does not match exactly once is not replaced.
    """
    replaced: dict[str, str] = {}
    for name, limit in LIMITS.items():
        for path in (tree / root / name for root in ROOTS):
            with suppress(UnicodeDecodeError, FileNotFoundError):
                text, count = limit.subn(r"\g<1>24 * time.Hour", path.read_text())
                if count == 1:
                    replaced[str(path)] = text
    return replaced


def warn_if_limited(replaced: Mapping[str, str]) -> None:
    """Print that the limit of a write stays, if its code in the tree is not the known one."""
    if not any(path.endswith("/handlers/rest.go") for path in replaced):
        console.warn(
            "kube-apiserver: a write that is paused longer than 34 s fails, because"
            " apiserver/pkg/endpoints/handlers/rest.go does not have the known code of this limit"
        )


def arguments(
    replaced: Mapping[str, str], root: Path, go: tuple[int, int], folder: Path
) -> list[str]:
    """Return the arguments of go for the replaced files of the tree `root`.

    `folder` is the one that `write` gets. The arguments must follow those for all packages.
    """
    if not replaced:
        return []
    if go >= GO_WITH_OVERLAY:
        return ["-overlay", str(_index(folder))]
    # go splits this at blanks outside quotes, and has no escape for a quote
    quote = "'" if '"' in str(TOOLEXEC) else '"'
    toolexec = ["-toolexec", f"sh {quote}{TOOLEXEC}{quote}"]
    if go < GO_WITH_GCFLAGS_PATTERN:
        return toolexec
    # go does not know the replacement's text. The flag -D is part of the key in its cache, and has
    # no other effect, because go's own -D follows.
    digest = files.digest(*(text for _, text in sorted(replaced.items())))[:16]
    patterns = [f"{package}=-N -l -D {digest}" for package in _packages(replaced, root)]
    return toolexec + [part for pattern in patterns for part in ("-gcflags", pattern)]


def write(replaced: Mapping[str, str], go: tuple[int, int], folder: Path) -> dict[str, str]:
    """Write the replacements into a folder and return the variables by which go finds them."""
    replacements = {path: Path(f"{folder}{path}") for path in replaced}
    for path, replacement in replacements.items():
        line = "" if go >= GO_WITH_OVERLAY else f"//line {path}:1\n"
        files.write(replacement, line + replaced[path])
    index = {path: str(replacement) for path, replacement in replacements.items()}
    files.write(_index(folder), json.dumps({"Replace": index}))
    return {"STEPKUBE_OVERLAY": str(folder)}


def _index(folder: Path) -> Path:
    return folder / "overlay.json"


def _packages(replaced: Mapping[str, str], root: Path) -> list[str]:
    """Return the names that the packages of the replaced files can have, with go.mod or GOPATH."""
    names: set[str] = set()
    for path in replaced:
        package = Path(path).relative_to(root).parent
        names.add(f"k8s.io/kubernetes/{package}")
        names |= {
            str(package.relative_to(folder))
            for folder in ROOTS[:2]
            if package.is_relative_to(folder)
        }
    return sorted(names)
