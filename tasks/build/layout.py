"""Where go looks for a tree's packages: in a GOPATH up to 1.14, by go.mod and vendor/ after."""

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
LISTED = Path("vendor/modules.txt")
"""Names every package of vendor/ in a line of its own; the other lines begin with #."""


@dataclass(frozen=True)
class Layout:
    """How go sees a tree: `root` is the folder that the debug information will name.

    `mode` is gopath, vendor or workspace, as in templates/facts.yaml; `tree` is the checkout.
    """

    mode: str
    tree: Path
    root: Path

    @property
    def vendored(self) -> bool:
        """Tell whether the tree has all that it is built of, so that no network is needed."""
        listed = (self.tree / LISTED).is_file()
        return self.mode == GOPATH or (listed and not missing_packages(self.tree))

    def target(self, module: str) -> str:
        """Return a module as go's command line names it."""
        return f"{PACKAGE}/cmd/{module}" if self.mode == GOPATH else f"./cmd/{module}"

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return `base` with what makes go find the packages, without network where they are all.

        A go.work in a folder above the tree is none of the tree's business. Without a whole vendor/
        the modules come from mirror.goproxy, and have to be what go.sum says.
        """
        if self.mode == GOPATH:
            gopath = str(self.root.parents[2])
            return {**base, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": gopath}
        chosen = {"GO111MODULE": "on", "GOFLAGS": f"{base.get('GOFLAGS', '')} -mod=readonly"}
        if self.vendored:
            chosen |= {"GOFLAGS": "-mod=vendor", "GOPROXY": "off"}
        if not (self.tree / "go.work").is_file():
            chosen["GOWORK"] = "off"
        return {**base, **chosen}


def layout_of(paths: Paths, checkout: Checkout) -> Layout:
    """Return how go sees a checkout; for a GOPATH it is linked into one of its own.

    Raises Failure when a tree lacks the go.mod that trees of its minor have.
    """
    tree = checkout.tree
    mode = facts.minor(checkout.minor).build_mode
    if (tree / "go.mod").is_file():
        return Layout("vendor" if mode == GOPATH else mode, tree, tree.resolve())
    if mode != GOPATH:
        raise Failure(
            f"{tree} has no go.mod, but Kubernetes {checkout.version} is built with one",
            "check that it is a whole Kubernetes tree, and that build.version_stamp is right",
        )
    root = paths.cache.resolve() / "gopaths" / files.digest(str(tree))[:8] / "src" / PACKAGE
    files.link(root, tree.resolve())
    return Layout(GOPATH, tree, root)


@once_per_run
def missing_packages(tree: Path) -> str:
    """Return the first package that vendor/ is to have and has no code of; empty for none.

    A repository may have lost its largest files, such as the client of a cloud's API.
    """
    listed = tree / LISTED
    lines = listed.read_text().splitlines() if listed.is_file() else []
    packages = (line for line in lines if line and not line.startswith("#"))
    return next((one for one in packages if not _has_code(tree / "vendor" / one)), "")


def _has_code(package: Path) -> bool:
    try:
        return any(name.endswith((".go", ".s")) for name in os.listdir(package))  # noqa: PTH208
    except OSError:
        return False
