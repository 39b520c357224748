"""Layout: where go finds the packages of a tree. Up to 1.14 a GOPATH, then go.mod and vendor/."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.core.doit_run import once_per_run
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.tree import Checkout
from tasks.settings.paths import Paths
from tasks.system import files

PACKAGE = "k8s.io/kubernetes"
GOPATH = "gopath"
MODULES_TXT = Path("vendor/modules.txt")
"""File with every package of vendor/, one per line; all other lines begin with #."""


@dataclass(frozen=True)
class Layout:
    """Layout of a tree for go commands."""

    mode: str
    """gopath, vendor or workspace, as in templates/facts.yaml."""
    tree: Path
    """Folder of the checkout."""
    root: Path
    """Working folder of go, and folder of the tree in the debug information."""

    @property
    def vendored(self) -> bool:
        """Whether the tree contains every package it needs; go then needs no network."""
        has_list = (self.tree / MODULES_TXT).is_file()
        return self.mode == GOPATH or (has_list and not first_missing_package(self.tree))

    def target(self, module: str) -> str:
        """Return the package argument of a module for go's command line."""
        return f"{PACKAGE}/cmd/{module}" if self.mode == GOPATH else f"./cmd/{module}"

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return `base` with the variables by which go finds the packages of the tree.

        GOWORK=off: go ignores a go.work above the tree. With a complete vendor/ go uses no network;
        otherwise Go modules come from mirror.goproxy and go checks them against go.sum.
        """
        if self.mode == GOPATH:
            gopath = str(self.root.parents[2])
            return {**base, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": gopath}
        env = {"GO111MODULE": "on", "GOFLAGS": f"{base.get('GOFLAGS', '')} -mod=readonly"}
        if self.vendored:
            env |= {"GOFLAGS": "-mod=vendor", "GOPROXY": "off"}
        if not (self.tree / "go.work").is_file():
            env["GOWORK"] = "off"
        return {**base, **env}


def layout_of(paths: Paths, checkout: Checkout) -> Layout:
    """Return the layout of a checkout; in GOPATH mode, link the tree into a private GOPATH.

    Raises Failure if go.mod is missing in a tree whose minor needs it.
    """
    tree = checkout.tree
    mode = facts.minor(checkout.minor).build_mode
    if (tree / "go.mod").is_file():
        return Layout("vendor" if mode == GOPATH else mode, tree, tree.resolve())
    if mode != GOPATH:
        raise Failure(
            f"{tree} has no go.mod, but Kubernetes {checkout.version} needs one to build",
            "check that the tree is complete and that build.version_stamp is correct",
        )
    root = paths.cache.resolve() / "gopaths" / files.digest(str(tree))[:8] / "src" / PACKAGE
    files.link(root, tree.resolve())
    return Layout(GOPATH, tree, root)


@once_per_run
def first_missing_package(tree: Path) -> str:
    """Return the first package of vendor/modules.txt without Go or assembler files; empty for none.

    The largest files can be missing in a damaged repository, such as the client of a cloud's API.
    """
    modules_txt = tree / MODULES_TXT
    lines = modules_txt.read_text(errors="replace").splitlines() if modules_txt.is_file() else []
    packages = (line for line in lines if line and not line.startswith("#"))
    return next((name for name in packages if not _has_code(tree / "vendor" / name)), "")


def _has_code(package: Path) -> bool:
    try:
        return any(name.endswith((".go", ".s")) for name in os.listdir(package))  # noqa: PTH208
    except OSError:
        return False
