"""Recipe, arguments and environment of `go build`: pure builders.

The flags are those of upstream's hack/lib/golang.sh of the minor, except for debugging: no
optimisation, no inlining, symbols kept, paths not trimmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.build import overlay
from tasks.build.layout import Layout
from tasks.build.overlay import GO_WITH_GCFLAGS_PATTERN
from tasks.kubernetes import version_stamp
from tasks.kubernetes.facts import Facts
from tasks.kubernetes.tree import Checkout
from tasks.settings.groups import Cgo
from tasks.system import files

GO_WITH_OUTPUT_FOLDER = (1, 13)
"""First Go in which `go build -o FOLDER/` builds several programs; older ones: `go install`."""
GO_WITH_CONTENT_IDS = (1, 10)
"""First Go that compares contents to see whether a binary is current; older ones compare times."""
GO_WITH_BUILDVCS = (1, 18)
"""First Go that runs git itself; git can refuse a tree that belongs to another user."""


@dataclass(frozen=True)
class Recipe:
    """Inputs of a binary, except its source files."""

    go: str
    """Go version, such as 1.26.8."""
    root: Path
    """Folder of the tree in the paths of the debug information."""
    gcflags: str
    tags: tuple[str, ...]
    cgo: bool
    stamp: Mapping[str, str]
    """Values for -X by variable."""
    overlay: Mapping[str, str]
    """Text of replaced source files by path in the tree."""
    static_libc: bool = False
    """Whether the C library is linked statically: the binary runs with another one installed."""

    def digest(self, sources: str) -> str:
        """Return the digest of a binary that is built from these source digests."""
        stamp = [f"{key}={value}" for key, value in sorted(self.stamp.items())]
        return files.digest(
            sources,
            self.go,
            str(self.root),
            self.gcflags,
            ",".join(self.tags),
            str(self.cgo),
            *stamp,
            # without paths: trees in other folders with the same source files share the binary
            *sorted(set(self.overlay.values())),
            *(["whole"] if self.static_libc else []),
        )

    def flags_digest(self, module: str) -> str:
        """Return a digest of all that decides whether a binary can be debugged."""
        flags = (self.go, self.gcflags, ",".join(self.tags), str(self.cgo), str(self.static_libc))
        return files.digest(module, *flags)[:16]

    def arguments(
        self, jobs: int, out: Path, replacements: Path, targets: Sequence[str]
    ) -> list[str]:
        """Return the arguments of `go` that build `targets` into the folder `out`.

        A Go older than 1.13 gets `out` from GOBIN (see `environment`). `replacements` is the folder
        of the replaced source files.
        """
        minor = go_minor(self.go)
        stamp = " ".join(f"-X {key}={value}" for key, value in sorted(self.stamp.items()))
        build = "build" if minor >= GO_WITH_OUTPUT_FOLDER else "install"
        linkmode = "-linkmode external -extldflags -static " if self.static_libc else ""
        arguments = [build, "-v", "-p", str(jobs)]
        arguments += ["-gcflags", self.gcflags, "-ldflags", f"{linkmode}{stamp}"]
        if minor < GO_WITH_GCFLAGS_PATTERN:
            # It installs compiled packages; Go's standard library is installed optimised.
            arguments += ["-installsuffix", "debug" if self.cgo else "debugstatic"]
        arguments += tags(self.tags, self.go)
        if minor >= GO_WITH_BUILDVCS:
            arguments.append("-buildvcs=false")
        arguments += overlay.arguments(self.overlay, self.root, minor, replacements)
        if minor >= GO_WITH_OUTPUT_FOLDER:
            arguments += ["-o", f"{out}/"]
        return [*arguments, *targets]


def tags(names: Sequence[str], go: str) -> list[str]:
    """Return the arguments of `go` for build tags; empty without tags."""
    separator = "," if go_minor(go) >= GO_WITH_OUTPUT_FOLDER else " "
    return ["-tags", separator.join(names)] if names else []


def uses_cgo(module: str, facts: Facts, choice: Cgo) -> bool:
    """Return whether C code is linked into a module; `choice` is build.cgo."""
    linked = choice == "always" or (choice == "auto" and facts.needs_c)
    return linked and module not in facts.static_modules


def recipe(
    checkout: Checkout,
    root: Path,
    facts: Facts,
    go: str,
    *,
    dirty: bool,
    date: str,
    replaced: Mapping[str, str],
    cgo: bool = False,
    static_libc: bool = False,
) -> Recipe:
    """Return the recipe of a module.

    `date` is the date of the commit, so that a second build gives the same binary.
    """
    return Recipe(
        go=go,
        root=root,
        gcflags="all=-N -l" if go_minor(go) >= GO_WITH_GCFLAGS_PATTERN else "-N -l",
        tags=facts.build_tags,
        cgo=cgo,
        stamp=stamp(checkout, facts.version_packages, dirty=dirty, date=date),
        overlay=replaced,
        static_libc=cgo and static_libc,
    )


def stamp(checkout: Checkout, packages: Sequence[str], *, dirty: bool, date: str) -> dict[str, str]:
    """Return the -X values of hack/lib/version.sh, by package and variable.

    The linker ignores packages that the minor does not have.
    """
    values = version_stamp.values(checkout, dirty=dirty, date=date)
    return {f"{package}.{key}": value for package in packages for key, value in values.items()}


def environment(
    base: Mapping[str, str], layout: Layout, *, cgo: bool, out: Path | None = None
) -> dict[str, str]:
    """Return the environment of a go command for a tree; `go install` writes into `out`."""
    gobin = {"GOBIN": str(out)} if out else {}
    return layout.environment(base) | {"CGO_ENABLED": "1" if cgo else "0"} | gobin


def go_minor(version: str) -> tuple[int, int]:
    """Return major and minor of a Go version: (1, 15) for 1.15.15; (0, 0) for other text."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
