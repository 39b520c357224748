"""Tasks build:<module>: binaries that can be debugged, stored by digest.

The path of a binary is bin/<digest>/<module>; the digest covers its source digests and its recipe.
So nothing is built after a switch back to an earlier state of the tree. Modules with the same
recipe are compiled in one invocation of go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.build import go_build, limits, overlay, prebuilt, prune, source_text, sources, store
from tasks.build.plan import EDITED, Plan, plan_of
from tasks.cli.task import Check, action, config_changed
from tasks.components import registry
from tasks.core import console, doit_run
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import files, resources, sealed, state

DISK_GIB = 6.0
"""GiB that a first build of all modules needs, with Go's cache (measured with 1.20 and 1.35)."""
NEXT_DISK_GIB = 1.5
"""GiB that a later build can need, for binaries and packages that go compiles again."""


@dataclass(frozen=True)
class Binary:
    """Record of the current binary of a module; the JSON file has the same keys."""

    module: str
    path: Path
    digest: str
    """Digest of the source digests and the recipe; of the content for a prebuilt binary."""
    go: str
    """Version of the Go that built it."""
    version: str
    """Kubernetes version."""
    origin: str = ""
    """Path from which a prebuilt binary was copied; empty for a built one."""

    @property
    def folder(self) -> str:
        """Name of the folder in bin/ in which a build with this digest looks for the binary."""
        name = self.path.parent.name
        return name if name.endswith(EDITED) else self.digest[:16]


def load_binary(settings: Settings, module: str) -> Binary:
    """Return the current binary of a module. Raises Failure if the module has not been built."""
    binary = _recorded(settings, module)
    if binary is None:
        raise Failure(f"{module} has not been built yet", f"run: doit build:{module}")
    return binary


def _recorded(settings: Settings, module: str) -> Binary | None:
    return state.load(settings.paths.built(module), Binary)


@action
def build(settings: Settings, module: str) -> None:
    """Run `build_module` as a doit action."""
    build_module(settings, module)


def build_module(settings: Settings, module: str) -> None:
    """Build a module together with the other modules of this run, unless a binary exists."""
    run = doit_run.current()
    needed = [name.partition(":")[2] for name in run.selected_with_dependencies("build:")]
    modules = [name for name in registry.modules() if name == module or name in needed]
    plan = plan_of(settings, module)
    if _reuse_binary(settings, module, plan):
        return
    with files.locked(settings.paths.cache / "build.lock"):
        if _reuse_binary(settings, module, plan):  # another run built it while this one waited
            return
        plans = {name: plan_of(settings, name) for name in modules}
        missing = {
            name: plan
            for name, plan in plans.items()
            if not sealed.is_intact(store.followed(plan.path))
        }
        for name, plan in missing.items():
            if plan.path.is_file():
                console.say(f"  {name}: {plan.path} was cut off or changed: it is built again")
        _compile(settings, missing)
        prune.prune(settings)


def _reuse_binary(settings: Settings, module: str, plan: Plan) -> bool:
    """Record an existing binary of the plan; return False if none exists.

    It does not take build.lock, so it does not wait while another run compiles.
    """
    with prune.prune_lock(settings):
        recorded = _recorded_binary(settings, module, plan)
        path = recorded or store.followed(plan.path)
        if not sealed.is_intact(path):
            return False
        console.note("built already" if recorded else "kept from an earlier build")
        _record(settings, module, plan, path)
        return True


def _recorded_binary(settings: Settings, module: str, plan: Plan) -> Path | None:
    """Return the recorded binary if its digest is the plan's, otherwise None.

    Another task of this run can have compiled it. A binary whose source files were edited during
    the compilation is returned only while the tree still has the edit.
    """
    record = _recorded(settings, module)
    if record is None or record.digest != plan.digest or not sealed.is_intact(record.path):
        return None
    path = record.path
    if path == plan.path:
        return path
    still_edited = sources.current_digests(settings, module) != plan.sources
    return path if still_edited else None


def _compile(settings: Settings, plans: Mapping[str, Plan]) -> None:
    """Compile modules; those with the same recipe in one invocation of go."""
    first = not any(settings.paths.binaries.glob("[!.]*"))
    gib, purpose = (DISK_GIB, "a first build") if first else (NEXT_DISK_GIB, "a build")
    resources.require_disk(settings.paths.cache, gib, purpose)
    resources.require_memory(limits.LEAST_GIB, "compiling")
    if any(plan.recipe.cgo for plan in plans.values()):
        go_build.require_c_compiler([name for name, plan in plans.items() if plan.recipe.cgo])
    apiserver = plans.get("kube-apiserver")
    if settings.debug.lift_write_deadline and apiserver:
        overlay.warn_if_limited(apiserver.recipe.overlay)
    groups: list[list[str]] = []
    for module, plan in plans.items():
        group = next((g for g in groups if plans[g[0]].recipe == plan.recipe), None)
        if group is None:
            groups.append([module])
        else:
            group.append(module)
    for group in groups:
        total = sources.package_count(settings, group)
        earlier = {module: _newest_binary(settings, module) for module in group}
        states = {module: sources.states(settings, module) for module in group}
        with go_build.compile_modules(settings, earlier, plans[group[0]].recipe, total) as folder:
            sources.look_again(settings)
            for module in group:
                edited = sources.has_edits_since(settings, module, states[module])
                _store_binary(settings, module, plans[module], folder / module, edited)


def _newest_binary(settings: Settings, module: str) -> Path | None:
    """Return the recorded binary of a module, if it exists unchanged."""
    record = _recorded(settings, module)
    usable = record and not record.origin and sealed.is_intact(record.path)
    return record.path if record and usable else None


def _store_binary(
    settings: Settings, module: str, plan: Plan, compiled: Path, edited: bool
) -> None:
    """Move a compiled binary to the path of its plan and record it.

    A binary that is the same as the recorded one is only linked, and the recorded one stays in use.
    If its source files were edited during the compilation, the binary goes to another folder
    (suffix -edited), because the digest does not describe it. The *.sources file is not updated,
    so that the next run sees the edit.
    """
    path = plan.path
    if edited:
        console.say(f"  {module}: edited while it was compiled; the next run builds it again")
        path = plan.path.parent.with_name(f"{plan.path.parent.name}{EDITED}") / module
    newest = _newest_binary(settings, module)
    same = newest is not None and store.build_id(newest) == store.build_id(compiled) != ""
    with prune.prune_lock(settings):
        files.make_shared(path.parent)
        if same and newest is not None and newest != path:
            store.link(path, newest)
            console.note(f"{module}: the edit does not change the binary")
        else:
            path.unlink(missing_ok=True)
            compiled.replace(path)
            sealed.seal(path)
        _record(settings, module, plan, store.followed(path))


def _record(settings: Settings, module: str, plan: Plan, path: Path) -> None:
    """Write the record of a binary and link it in the instance's bin folder."""
    value = {
        "module": module,
        "path": str(path),
        "digest": plan.digest,
        "go": plan.recipe.go,
        "version": load_checkout(settings.paths.lock).version,
    }
    edited = path.parent.name.endswith(EDITED)
    source_text.remember(settings, path, plan.sources, again=edited)
    prebuilt.publish(settings, module, value)


def is_built(settings: Settings, module: str) -> bool:
    """Return whether the recorded binary of a module exists with its content, and its link."""
    link = settings.paths.instance / "bin" / module
    return sealed.is_intact(load_binary(settings, module).path) and link.exists()


def task_build(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per module that builds or copies its binary."""
    yield {"name": None, "doc": "build debuggable binaries, one task per module"}
    configured = registry.configured_modules(settings)
    for module in registry.modules():
        create = prebuilt.task if prebuilt.is_used(settings) else _compile_task
        task = create(settings, module)
        exists = Check(
            f"the recorded binary of {module} exists unchanged", is_built, (settings, module)
        )
        yield {
            "name": module,
            "grouped": module in configured,
            **task,
            "targets": [str(settings.paths.built(module))],
            "uptodate": [*task["uptodate"], exists],
            "clean": True,
        }


def _compile_task(settings: Settings, module: str) -> dict[str, Any]:
    """Return the task that compiles a module."""
    return {
        "doc": f"build a debuggable {module} if its source files changed",
        "actions": [(build, [settings, module])],
        "file_dep": [str(settings.paths.sources(module)), str(settings.paths.tool("go"))],
        "task_dep": ["generated", f"sources:{module}"],
        "uptodate": [
            config_changed(
                {
                    "lift_write_deadline": settings.debug.lift_write_deadline,
                    "cgo": settings.build.cgo,
                    "whole": registry.is_contained(settings, module),
                }
            ),
        ],
    }
