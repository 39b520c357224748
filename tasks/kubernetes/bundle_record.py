"""The record of the bundle that was imported into an instance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from tasks.kubernetes import tool_record
from tasks.kubernetes.releases import satisfies
from tasks.kubernetes.tool_record import Tool
from tasks.settings.load import Settings
from tasks.system import sealed, state


class Imported(TypedDict):
    """The record of an imported bundle."""

    file: str
    size: int
    changed: int
    """The bundle's time of modification, in ns."""
    checkout: dict[str, str]
    tools: dict[str, dict[str, str]]


def read(settings: Settings) -> Imported | None:
    """Return the record of the imported bundle; None when there is none."""
    return state.load(
        settings.paths.bundle, Imported, _is_complete, effect="import the bundle again"
    )


def _is_complete(record: Imported) -> bool:
    known = {"tree", "root", "version", "commit", "requested"} <= record["checkout"].keys()
    return known and all(map(tool_record.is_complete, record["tools"].values()))


def provides(checkout: Mapping[str, str], requested: str) -> bool:
    """Return whether a bundle's checkout is the requested version, branch or commit."""
    if satisfies(checkout["version"], requested) or requested == checkout["requested"]:
        return True
    return len(requested) >= 7 and checkout["commit"].startswith(requested)


def imported_bundle(settings: Settings) -> Imported | None:
    """Return the record of the imported bundle.

    None without a bundle, and if the user configured another origin.
    """
    origin = settings.origin
    if origin.order not in ("auto", "bundle") or (origin.path and origin.order == "auto"):
        return None
    return read(settings)


def built_root(settings: Settings, tree: Path) -> Path | None:
    """Return the source folder named in the debug info of a bundle's binaries.

    None if the tree is not the one of the imported bundle.
    """
    record = imported_bundle(settings)
    if record is None or record["checkout"]["tree"] != str(tree):
        return None
    return Path(record["checkout"]["root"])


def bundled_tool(settings: Settings, name: str, tree: Path) -> tuple[Tool, dict[str, str]] | None:
    """Return a tool of the imported bundle, and the other values of its record.

    None if the bundle has no such tool, or if the tree is not the bundle's.
    """
    record = imported_bundle(settings)
    if record is None or record["checkout"]["tree"] != str(tree) or name not in record["tools"]:
        return None
    values = dict(record["tools"][name])
    root, path = values.pop("root", None), Path(values.pop("bin"))
    if not (path.is_dir() or sealed.is_intact(path)):
        return None
    version, origin = values.pop("version"), values.pop("from")
    return Tool(name, version, path, Path(root) if root else None, origin), values
