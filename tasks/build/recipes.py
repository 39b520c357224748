"""Recipe of a module of the checkout: each fact about the tree is read once per run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.build import digest_list, edits, go_command, layout, overlay, sources
from tasks.build.go_command import Recipe
from tasks.components import registry
from tasks.core.doit_run import once_per_run
from tasks.kubernetes import version_stamp
from tasks.kubernetes.facts import minor as facts_of
from tasks.kubernetes.tool_record import load_tool
from tasks.kubernetes.tree import Checkout
from tasks.settings.load import Settings


def recipe_for(settings: Settings, checkout: Checkout, module: str, digests: str) -> Recipe:
    """Return the current recipe of a module; `digests` are its source digests."""
    root = layout.layout_of(settings.paths, checkout).root
    facts = facts_of(checkout.minor)
    return go_command.recipe(
        _stamped(checkout),
        root,
        facts,
        load_tool(settings, "go").version,
        dirty=edits.is_edited(
            checkout.git,
            digest_list.parse_digests(digests),
            sources.commit_file(settings, checkout),
        ),
        date=commit_date(checkout),
        replaced=_lifted_limits(root) if settings.debug.lift_write_deadline else {},
        cgo=go_command.uses_cgo(module, facts, settings.build.cgo),
        # a container has another C library than this host
        static_libc=registry.is_contained(settings, module),
    )


@once_per_run
def commit_date(checkout: Checkout) -> str:
    """Return the date of the commit in UTC, in the format of Go's version stamp."""
    date = ("--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd")
    result = checkout.git.run("log", "-1", *date, env={"TZ": "UTC"})
    return result.stdout.strip()


@once_per_run
def _stamped(checkout: Checkout) -> Checkout:
    return version_stamp.with_new_commits(checkout)


@once_per_run
def _lifted_limits(tree: Path) -> Mapping[str, str]:
    return overlay.lifted_limits(tree)
