"""Debuggable binaries, kept by content; several modules are compiled in one go.

A binary lies in bin/<digest>/<module>, the digest being of its sources and its recipe, so that
going back to an earlier state of the tree builds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.build import go_build, prebuilt, prune, recipes, sources
from tasks.build.go_command import Recipe
from tasks.cli.task import Check, action, config_changed
from tasks.components import registry
from tasks.core import console, doit_run
from tasks.core.errors import Failure
from tasks.kubernetes import bundle_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import files, resources

DISK_GIB = 6.0
"""GiB a first build of all modules takes, Go's cache included (measured with 1.20 and 1.35)."""
NEXT_DISK_GIB = 1.5
"""GiB a later build may take: its binaries, and what go has to compile again."""


@dataclass(frozen=True)
class Binary:
    """A built module: where it lies, what it was made of, and by which Go."""

    module: str
    path: Path
    digest: str
    go: str
    version: str
    origin: str = ""
    """Where it was taken from when it was made elsewhere."""


def load_binary(settings: Settings, module: str) -> Binary:
    """Return the newest binary of a module. Raises Failure when it has not been built."""
    value = files.read_json(settings.paths.built(module))
    if value is None:
        raise Failure(f"{module} has not been built yet", f"run: doit build:{module}")
    return Binary(**{**value, "path": Path(value["path"])})


@action
def build(settings: Settings, module: str) -> None:
    """Provide a module's binary, compiling it together with the others that this run wants."""
    run = doit_run.current()
    needed = [name.partition(":")[2] for name in run.selected_with_dependencies("build:")]
    modules = [name for name in registry.modules() if name == module or name in needed]
    plan = _plan(settings, module)
    if _kept(settings, module, plan):
        return
    with files.locked(settings.paths.cache / "build.lock"):
        if _kept(settings, module, plan):  # another run built it while we waited
            return
        plans = {name: _plan(settings, name) for name in modules}
        _compile(settings, {name: one for name, one in plans.items() if not one.path.is_file()})
        prune.prune(settings)


def _kept(settings: Settings, module: str, plan: _Plan) -> bool:
    """Write down the binary that is there already: no other run's compiling is waited for."""
    with prune.prune_lock(settings):
        recorded = _recorded(settings, module, plan)
        path = recorded or plan.path
        if not path.is_file():
            return False
        console.note("built already" if recorded else "kept from an earlier build")
        _record(settings, module, plan, path)
        return True


def _recorded(settings: Settings, module: str, plan: _Plan) -> Path | None:
    """Return the recorded binary if it is that of the plan, compiled with a sibling for example.

    One whose sources were edited while it was compiled counts as long as the edit is there.
    """
    record = files.read_json(settings.paths.built(module)) or {}
    path = Path(record.get("path", ""))
    if record.get("digest") != plan.digest or not path.is_file():
        return None
    if path == plan.path:
        return path
    still = sources.current_manifest(settings, module, plan.sources) != plan.sources
    return path if still else None


@dataclass(frozen=True)
class _Plan:
    """What building a module now would do."""

    recipe: Recipe
    sources: str
    digest: str
    path: Path


def _plan(settings: Settings, module: str) -> _Plan:
    checkout = load_checkout(settings.paths.lock)
    manifest = settings.paths.sources(module)
    if not manifest.is_file():
        sources.refresh(settings, module)
    text = manifest.read_text()
    recipe = recipes.recipe_for(settings, checkout, module, text)
    elsewhere = bundle_record.built_root(settings, checkout.tree)
    if elsewhere is not None:
        came = _planned(settings, module, replace(recipe, root=elsewhere), text)
        if came.path.is_file():
            return came
    return _planned(settings, module, recipe, text)


def _planned(settings: Settings, module: str, recipe: Recipe, text: str) -> _Plan:
    digest = recipe.digest(text)
    return _Plan(recipe, text, digest, settings.paths.binaries / digest[:16] / module)


def _compile(settings: Settings, plans: Mapping[str, _Plan]) -> None:
    """Compile stale modules, those with the same recipe in one invocation of go."""
    first = not any(settings.paths.binaries.glob("[!.]*"))
    need, what = (DISK_GIB, "a first build") if first else (NEXT_DISK_GIB, "a build")
    resources.require_disk(settings.paths.cache, need, what)
    resources.require_memory(resources.GIB_PER_JOB / 1.5, "compiling")
    if any(plan.recipe.cgo for plan in plans.values()):
        go_build.require_c_compiler([name for name, plan in plans.items() if plan.recipe.cgo])
    groups: list[list[str]] = []
    for module, plan in plans.items():
        group = next((g for g in groups if plans[g[0]].recipe == plan.recipe), None)
        if group is None:
            groups.append([module])
        else:
            group.append(module)
    for group in groups:
        total = sources.package_count(settings, group)
        with go_build.compile_modules(settings, group, plans[group[0]].recipe, total) as folder:
            for module in group:
                _keep(settings, module, plans[module], folder / module)


def _keep(settings: Settings, module: str, plan: _Plan, made: Path) -> None:
    """Move a fresh binary to its place and write it down.

    A binary whose sources were edited while it was compiled goes to a place of its own: it must
    not be found again under a digest that does not describe it. The manifest stays as it was, so
    that the next run sees the edit.
    """
    sources.look_again()
    place = plan.path
    if sources.current_manifest(settings, module, plan.sources) != plan.sources:
        console.say(f"  {module}: edited while it was compiled; the next run builds it again")
        place = plan.path.parent.with_name(f"{plan.path.parent.name}-edited") / module
    place.parent.mkdir(parents=True, exist_ok=True)
    made.replace(place)
    with prune.prune_lock(settings):
        _record(settings, module, plan, place)


def _record(settings: Settings, module: str, plan: _Plan, path: Path) -> None:
    """Write down the binary and point the instance's bin folder at it."""
    value = {
        "module": module,
        "path": str(path),
        "digest": plan.digest,
        "go": plan.recipe.go,
        "version": load_checkout(settings.paths.lock).version,
    }
    prebuilt.publish(settings, module, value)


def is_built(settings: Settings, module: str) -> bool:
    """Tell whether the binary of a module's record is still there."""
    return load_binary(settings, module).path.is_file()


def task_build(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per module that provides its debuggable binary."""
    yield {"name": None, "doc": "build debuggable binaries, one task per module"}
    for module in registry.modules():
        made = prebuilt.task if prebuilt.chosen(settings) else _compiling
        task = made(settings, module)
        there = Check(f"the recorded binary of {module} exists", is_built, (settings, module))
        yield {
            "name": module,
            **task,
            "targets": [str(settings.paths.built(module))],
            "uptodate": [*task["uptodate"], there],
            "clean": True,
        }


def _compiling(settings: Settings, module: str) -> dict[str, Any]:
    """Return the task that compiles a module."""
    return {
        "doc": f"build a debuggable {module} when its sources changed",
        "actions": [(build, [settings, module])],
        "file_dep": [str(settings.paths.sources(module)), str(settings.paths.tool("go"))],
        "task_dep": ["generated", f"sources:{module}"],
        "uptodate": [
            config_changed(
                {
                    "lift_write_deadline": settings.debug.lift_write_deadline,
                    "whole": registry.is_contained(settings, module),
                }
            ),
        ],
    }
