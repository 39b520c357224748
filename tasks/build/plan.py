"""Plan of a build: the inputs of a module's binary, and its path, which follows from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tasks.build import recipes, recorded, sources, store
from tasks.build.go_command import Recipe
from tasks.kubernetes import bundle_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import sealed

EDITED = "-edited"
"""End of the name of a binary's folder whose digest does not describe the binary."""


@dataclass(frozen=True)
class Plan:
    """Inputs and result of a build of a module in the current tree."""

    recipe: Recipe
    sources: str
    """Source digests."""
    digest: str
    """Digest of the source digests and the recipe."""
    path: Path
    """Path of the binary in the workspace."""


def plan_of(settings: Settings, module: str) -> Plan:
    """Return the plan of a module; a binary of the imported bundle is used if it fits."""
    checkout = load_checkout(settings.paths.lock)
    digests = recorded.digests(settings, module).text
    if not digests:
        sources.update(settings, module)
        digests = recorded.digests(settings, module).text
    recipe = recipes.recipe_for(settings, checkout, module, digests)
    built_root = bundle_record.built_root(settings, checkout.tree)
    if built_root is not None:
        bundled = _plan_with(settings, module, replace(recipe, root=built_root), digests)
        if sealed.is_intact(store.followed(bundled.path)):
            return bundled
    return _plan_with(settings, module, recipe, digests)


def _plan_with(settings: Settings, module: str, recipe: Recipe, digests: str) -> Plan:
    digest = recipe.digest(digests)
    return Plan(recipe, digests, digest, settings.paths.binaries / digest[:16] / module)
