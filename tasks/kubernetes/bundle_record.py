"""Record of the bundle that a workspace was filled from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.core.errors import Failure
from tasks.kubernetes.releases import satisfies
from tasks.kubernetes.tool_record import Tool
from tasks.settings.load import Settings
from tasks.system import files


def provides(about: Mapping[str, str], wanted: str) -> bool:
    """Tell whether a bundle's checkout is the wanted version."""
    named = satisfies(about["version"], wanted) or wanted == about["requested"]
    return named or (len(wanted) >= 7 and about["commit"].startswith(wanted))


def imported_bundle(settings: Settings) -> Mapping[str, Any] | None:
    """Return the record of the bundle in use: taken over, and no other origin was asked for."""
    origin = settings.origin
    if origin.order not in ("auto", "bundle") or (origin.path and origin.order == "auto"):
        return None
    try:
        record: Mapping[str, Any] | None = files.read_json(settings.paths.bundle)
    except Failure:
        return None
    return record


def built_root(settings: Settings, tree: Path) -> Path | None:
    """Return the folder that the binaries a bundle brought for its tree name as their sources'."""
    record = imported_bundle(settings)
    if record is None or record["checkout"]["tree"] != str(tree):
        return None
    return Path(record["checkout"]["root"])


def bundled_tool(settings: Settings, name: str, tree: Path) -> tuple[Tool, dict[str, str]] | None:
    """Return a tool that the bundle brought for its tree and what else is known of it, or None."""
    record = imported_bundle(settings)
    if record is None or record["checkout"]["tree"] != str(tree) or name not in record["tools"]:
        return None
    about = dict(record["tools"][name])
    root, path = about.pop("root", None), Path(about.pop("bin"))
    if not path.exists():
        return None
    version, origin = about.pop("version"), about.pop("from")
    return Tool(name, version, path, Path(root) if root else None, origin), about
