"""How a module is compiled: pure builders of go's arguments and environment.

The flags follow upstream's hack/lib/golang.sh of the minor, but for what a debugger needs: no
optimisation, no inlining, symbols kept, paths not trimmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.build.layout import Layout
from tasks.kubernetes import version_stamp
from tasks.kubernetes.facts import Facts
from tasks.kubernetes.tree import Checkout
from tasks.system import files

TO_FOLDER = (1, 13)
"""From this Go on `go build -o FOLDER/` makes several programs; before, `go install` does."""
PATTERNS = (1, 10)
"""From this Go on -gcflags takes a pattern, and go keeps a cache of what it compiled."""
OVERLAYS = (1, 16)
NO_VCS = (1, 18)
"""From this Go on it would ask git itself, who may refuse a tree of another user."""


@dataclass(frozen=True)
class Recipe:
    """Everything but the sources that decides what a binary becomes.

    `go` is the Go version, `root` the folder that the debug information names, `stamp` the -X
    values, `overlay` replaced files by path in the tree; a `whole` program brings the C library
    with it, so that it runs where there is another one.
    """

    go: str
    root: Path
    gcflags: str
    tags: tuple[str, ...]
    cgo: bool
    stamp: Mapping[str, str]
    overlay: Mapping[str, str]
    whole: bool = False

    def digest(self, sources: str) -> str:
        """Return the name under which a binary of these sources is kept."""
        stamp = [f"{key}={value}" for key, value in sorted(self.stamp.items())]
        # Without the tree's own path: a binary serves wherever the same sources lie.
        inside = {path.rpartition("/k8s.io/")[2]: text for path, text in self.overlay.items()}
        overlay = [part for item in sorted(inside.items()) for part in item]
        return files.digest(
            sources,
            self.go,
            str(self.root),
            self.gcflags,
            ",".join(self.tags),
            str(self.cgo),
            *stamp,
            *overlay,
            *(["whole"] if self.whole else []),
        )

    def arguments(self, jobs: int, out: Path, overlay: Path, targets: Sequence[str]) -> list[str]:
        """Return the words after `go` that build `targets` into the folder `out`.

        An older Go is told `out` by GOBIN (see `environment`).
        """
        line = go_minor(self.go)
        stamp = " ".join(f"-X {key}={value}" for key, value in sorted(self.stamp.items()))
        words = ["build" if line >= TO_FOLDER else "install", "-v", "-p", str(jobs)]
        linked = "-linkmode external -extldflags -static " if self.whole else ""
        words += ["-gcflags", self.gcflags, "-ldflags", f"{linked}{stamp}"]
        if line < PATTERNS:  # it installs what it compiled, and has Go's own packages optimised
            words += ["-installsuffix", "debug" if self.cgo else "debugstatic"]
        words += tags(self.tags, self.go)
        if line >= NO_VCS:
            words.append("-buildvcs=false")
        if self.overlay:
            words += ["-overlay", str(overlay)]
        if line >= TO_FOLDER:
            words += ["-o", f"{out}/"]
        return [*words, *targets]


def tags(names: Sequence[str], go: str) -> list[str]:
    """Return the build tags as words of a go command line."""
    return ["-tags", ("," if go_minor(go) >= TO_FOLDER else " ").join(names)] if names else []


def recipe(
    module: str,
    checkout: Checkout,
    root: Path,
    facts: Facts,
    go: str,
    *,
    dirty: bool,
    date: str,
    overlay: Mapping[str, str],
    whole: bool = False,
) -> Recipe:
    """Return the recipe of one module; `date` is the commit's, so that a rebuild is the same."""
    return Recipe(
        go=go,
        root=root,
        gcflags="all=-N -l" if go_minor(go) >= PATTERNS else "-N -l",
        tags=facts.build_tags,
        cgo=module not in facts.static_modules,
        stamp=stamp(checkout, facts.version_packages, dirty=dirty, date=date),
        overlay=overlay if go_minor(go) >= OVERLAYS else {},
        whole=whole,
    )


def stamp(checkout: Checkout, packages: Sequence[str], *, dirty: bool, date: str) -> dict[str, str]:
    """Return the -X values of hack/lib/version.sh for every package that may hold them.

    A package that a minor does not have is ignored by the linker.
    """
    values = version_stamp.values(checkout, dirty=dirty, date=date)
    return {f"{package}.{key}": value for package in packages for key, value in values.items()}


def environment(
    base: Mapping[str, str], layout: Layout, *, cgo: bool, out: Path | None = None
) -> dict[str, str]:
    """Return the environment of a go command about a tree; `out` takes what `go install` makes."""
    chosen = {"CGO_ENABLED": "1" if cgo else "0", **({"GOBIN": str(out)} if out else {})}
    return layout.environment(base) | chosen


def go_minor(version: str) -> tuple[int, int]:
    """Return a Go version's line: 1.15.15 is (1, 15)."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


OLD_DEADLINE = "requestTimeoutUpperBound = 34 * time.Second"
NEW_DEADLINE = "requestTimeoutUpperBound = 24 * time.Hour"
DEADLINE_FILE = "k8s.io/apiserver/pkg/endpoints/handlers/rest.go"


def write_deadline_overlay(tree: Path) -> dict[str, str]:
    """Return the replacement that lifts kube-apiserver's fixed 34 s limit for writes to 24 h.

    Empty where the tree has no such limit (up to 1.20) or writes it in a way not known here.
    """
    found: dict[str, str] = {}
    for root in ("staging/src", "vendor"):
        path = tree / root / DEADLINE_FILE
        if not path.is_file():
            continue
        text = path.read_text()
        if text.count(OLD_DEADLINE) == 1:
            found[str(path)] = text.replace(OLD_DEADLINE, NEW_DEADLINE)
    return found
