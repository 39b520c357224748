"""The recipe of a module of this checkout: what a run finds out about the tree, once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.build import go_command, layout
from tasks.build.go_command import Recipe
from tasks.components import registry
from tasks.core.doit_run import once_per_run
from tasks.kubernetes import version_stamp
from tasks.kubernetes.facts import minor as facts_of
from tasks.kubernetes.tool_record import load_tool
from tasks.kubernetes.tree import Checkout, changed_files
from tasks.settings.load import Settings
from tasks.system.run import run


def recipe_for(settings: Settings, checkout: Checkout, module: str, manifest: str) -> Recipe:
    """Return how a module is compiled now; `manifest` lists its sources, with their digests."""
    edited, root = _edited(checkout), layout.layout_of(settings.paths, checkout).root
    dirty = any(line.split("  ", 1)[1] in edited for line in manifest.splitlines())
    lift = settings.debug.lift_write_deadline
    return go_command.recipe(
        module,
        _now(checkout),
        root,
        facts_of(checkout.minor),
        load_tool(settings, "go").version,
        dirty=dirty,
        date=commit_date(checkout),
        overlay=_overlay(root) if lift else {},
        # a container has another C library than this host
        whole=registry.is_contained(settings, module),
    )


@once_per_run
def commit_date(checkout: Checkout) -> str:
    """Return when the commit was made, in UTC as Go stamps it."""
    form = ("--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd")
    asked = run("env", "TZ=UTC", *checkout.git, "log", "-1", *form, cwd=checkout.tree)
    return asked.stdout.strip()


@once_per_run
def _now(checkout: Checkout) -> Checkout:
    return version_stamp.stamp_now(checkout)


@once_per_run
def _edited(checkout: Checkout) -> frozenset[str]:
    return frozenset(changed_files(checkout.tree, checkout.git)[0])


@once_per_run
def _overlay(folder: Path) -> Mapping[str, str]:
    return go_command.write_deadline_overlay(folder)
