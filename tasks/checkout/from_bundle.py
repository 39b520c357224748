"""Origin: the tree of an imported bundle, which needs no network."""

from __future__ import annotations

import shlex
from pathlib import Path

from tasks.checkout.base import NoSuchVersion, Unreachable
from tasks.kubernetes.bundle_record import Imported, provides
from tasks.kubernetes.tree import Checkout
from tasks.settings.load import Settings


class FromBundle:
    """The tree of the bundle that the instance imported last."""

    def __init__(self, settings: Settings, record: Imported) -> None:
        self.settings = settings
        self.record = record
        self.name = f"the bundle {record['file']}"

    def checkout(self, requested: str) -> Checkout:
        """Return the tree as it is. Raises NoSuchVersion if the bundle has another version."""
        bundled = self.record["checkout"]
        tree = Path(bundled["tree"])
        if not provides(bundled, requested):
            raise NoSuchVersion(f"it has {bundled['version']}, not {requested}")
        if not (tree / "cmd").is_dir():
            raise Unreachable(
                f"its tree {tree} does not exist;"
                f" run: doit unbundle {shlex.quote(self.record['file'])}"
            )
        version = self.settings.build.version_stamp or bundled["version"]
        state = bundled.get("state", "")
        return Checkout(tree, version, bundled["commit"], self.name, requested, state=state)
