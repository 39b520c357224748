"""How a module is compiled: pure builders of go's arguments and environment.

The flags follow upstream's hack/lib/golang.sh of the minor, but for what a debugger needs: no
optimisation, no inlining, symbols kept, paths not trimmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks import files
from tasks.facts import Facts
from tasks.tree import Checkout

MODULES = (
    "kube-apiserver",
    "kube-controller-manager",
    "cloud-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)


@dataclass(frozen=True)
class Recipe:
    """Everything but the sources that decides what a binary becomes.

    `go` is the Go version, `stamp` the -X values, `overlay` replaced files by path in the tree.
    """

    go: str
    gcflags: str
    tags: tuple[str, ...]
    cgo: bool
    stamp: Mapping[str, str]
    overlay: Mapping[str, str]

    def digest(self, sources: str) -> str:
        """Return the name under which a binary of these sources is kept."""
        stamp = [f"{key}={value}" for key, value in sorted(self.stamp.items())]
        # Without the tree's own path: a binary serves wherever the same sources lie.
        inside = {path.rpartition("/k8s.io/")[2]: text for path, text in self.overlay.items()}
        overlay = [part for item in sorted(inside.items()) for part in item]
        return files.digest(
            sources, self.go, self.gcflags, ",".join(self.tags), str(self.cgo), *stamp, *overlay
        )

    def arguments(self, jobs: int, out: Path, overlay: Path, modules: Sequence[str]) -> list[str]:
        """Return the words after `go` that build `modules` into the folder `out`."""
        stamp = " ".join(f"-X {key}={value}" for key, value in sorted(self.stamp.items()))
        words = ["build", "-v", "-p", str(jobs), "-gcflags", self.gcflags, "-ldflags", stamp]
        if self.tags:
            words += ["-tags", ",".join(self.tags)]
        if self.overlay:
            words += ["-overlay", str(overlay)]
        return [*words, "-o", f"{out}/", *(f"./cmd/{module}" for module in modules)]


def recipe(
    module: str, checkout: Checkout, facts: Facts, go: str, *, dirty: bool, date: str,
    overlay: Mapping[str, str],
) -> Recipe:
    """Return the recipe of one module; `date` is the commit's, so that a rebuild is the same."""
    return Recipe(
        go=go,
        gcflags="all=-N -l" if go_minor(go) >= (1, 10) else "-N -l",
        tags=facts.build_tags,
        cgo=module not in facts.static_modules,
        stamp=stamp(checkout, facts.version_packages, dirty=dirty, date=date),
        overlay=overlay if go_minor(go) >= (1, 16) else {},
    )


def stamp(
    checkout: Checkout, packages: Sequence[str], *, dirty: bool, date: str
) -> dict[str, str]:
    """Return the -X values of hack/lib/version.sh for every package that may hold them.

    A package that a minor does not have is ignored by the linker.
    """
    major, minor = checkout.minor
    version = checkout.version
    if dirty:
        version += "-dirty" if "+" in version else f"+{checkout.commit[:12]}-dirty"
    values = {
        "buildDate": date,
        "gitCommit": checkout.commit,
        "gitTreeState": "dirty" if dirty else "clean",
        "gitVersion": version,
        "gitMajor": str(major),
        "gitMinor": str(minor) + ("+" if "+" in version else ""),
    }
    return {f"{package}.{key}": value for package in packages for key, value in values.items()}


def environment(base: Mapping[str, str], tree: Path, *, cgo: bool) -> dict[str, str]:
    """Return the environment of a build: vendored, without network, module mode where it can be."""
    modules = (tree / "go.mod").is_file()
    vendored = modules and (tree / "vendor" / "modules.txt").is_file()
    chosen = {
        "GO111MODULE": "on" if modules else "off",
        "GOFLAGS": "-mod=vendor" if vendored else "",
        "CGO_ENABLED": "1" if cgo else "0",
    }
    return {**base, **chosen, **({"GOPROXY": "off"} if vendored else {})}


def go_minor(version: str) -> tuple[int, int]:
    """Return a Go version's line: 1.15.15 is (1, 15)."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


LIMIT = "requestTimeoutUpperBound = 34 * time.Second"
LIFTED = "requestTimeoutUpperBound = 24 * time.Hour"
LIMIT_FILE = "k8s.io/apiserver/pkg/endpoints/handlers/rest.go"


def write_deadline_overlay(tree: Path) -> dict[str, str]:
    """Return the replacement that lifts kube-apiserver's fixed 34 s limit for writes to 24 h.

    Empty where the tree has no such limit (up to 1.20) or writes it in a way not known here.
    """
    found: dict[str, str] = {}
    for root in ("staging/src", "vendor"):
        path = tree / root / LIMIT_FILE
        if not path.is_file():
            continue
        text = path.read_text()
        if text.count(LIMIT) == 1:
            found[str(path)] = text.replace(LIMIT, LIFTED)
    return found
