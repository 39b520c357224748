"""The origin that needs no network at all: the bundle that was taken over, with its tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.checkout.base import NoSuchVersion, Unreachable
from tasks.kubernetes.bundle_record import provides
from tasks.kubernetes.tree import Checkout
from tasks.settings.load import Settings


class FromBundle:
    """The tree of the bundle that this instance took over last."""

    def __init__(self, settings: Settings, record: Mapping[str, Any]) -> None:
        self.settings = settings
        self.record = record
        self.name = f"the bundle {record['file']}"

    def checkout(self, wanted: str) -> Checkout:
        """Return the tree as it is; another version than the bundle's is not to be had here."""
        about = self.record["checkout"]
        tree = Path(about["tree"])
        if not provides(about, wanted):
            raise NoSuchVersion(f"it has {about['version']}, not {wanted}")
        if not (tree / "cmd").is_dir():
            raise Unreachable(f"its tree {tree} is gone: doit unbundle {self.record['file']}")
        version = self.settings.build.version_stamp or about["version"]
        state = about.get("state", "")
        return Checkout(tree, version, about["commit"], self.name, wanted, state=state)
