"""Source manifests: the files a module is made of, with their digests.

`sources:<module>` looks at the tree on every run and writes its manifest only when a file of the
module changed; `build:<module>` depends on that manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.build import go_command, layout
from tasks.build.go_command import go_minor
from tasks.cli.task import action
from tasks.components import registry
from tasks.core import console
from tasks.core.doit_run import forget, once_per_run
from tasks.core.errors import Failure
from tasks.kubernetes import facts, tool_record
from tasks.kubernetes.tree import Checkout, load_checkout, snapshot, tree_digests
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.run import run

DEPS = (1, 11)
"""From this Go on `go list` follows dependencies itself."""


@once_per_run
def _entries_by_tree(checkout: Checkout) -> dict[str, str]:
    """Return the tree's files as they were when this run first looked."""
    return snapshot(checkout.tree, checkout.git)


def look_again() -> None:
    """Let the next look see what was edited in the meantime."""
    forget(_entries_by_tree)


@action
def refresh(settings: Settings, module: str) -> None:
    """Bring a module's manifest up to date; an unchanged manifest keeps its time stamp."""
    target = settings.paths.sources(module)
    before = target.read_text() if target.is_file() else ""
    after = current_manifest(settings, module, before)
    if files.write_if_changed(target, after) and before:
        console.note(describe(before, after))


def current_manifest(settings: Settings, module: str, before: str) -> str:
    """Return the manifest of a module as the tree is now.

    The package list is only asked for again when a file of the known packages changed: nothing
    else can change it.
    """
    checkout = load_checkout(settings.paths.lock)
    known = _remembered(settings, module)
    if known and known["tree"] == str(checkout.tree):
        now = tree_digests(_entries_by_tree(checkout), set(known["folders"]))
        if now == before:
            return now
    folders, packages = list_packages(settings, checkout, module)
    value = {"tree": str(checkout.tree), "folders": sorted(folders), "packages": packages}
    files.write_json(_memory(settings, module), value)
    return tree_digests(_entries_by_tree(checkout), folders)


def package_count(settings: Settings, modules: Sequence[str]) -> int:
    """Return how many packages, the standard library's included, these modules are made of."""
    return len(set[str]().union(*(_remembered(settings, one)["packages"] for one in modules)))


def list_packages(
    settings: Settings, checkout: Checkout, module: str
) -> tuple[set[str], list[str]]:
    """Ask go for the folders of the tree that a module is made of, and for all its packages.

    Folders of embedded files count too; the standard library is a matter of the Go version.
    """
    tree = checkout.tree
    if not (tree / "cmd" / module).is_dir():
        raise Failure(
            f"{tree} has no cmd/{module}",
            "choose a Kubernetes version that has this module",
        )
    go = tool_record.load_tool(settings, "go")
    about = facts.minor(checkout.minor)
    how = layout.layout_of(settings.paths, checkout)
    cgo = module not in about.static_modules
    env = go_command.environment(tool_record.go_env(settings, go), how, cgo=cgo)
    embeds = "{{range .EmbedFiles}}\t{{.}}{{end}}" if go_minor(go.version) >= (1, 16) else ""
    form = "{{.ImportPath}}\t{{if not .Standard}}{{.Dir}}" + embeds + "{{end}}"
    tags = go_command.tags(about.build_tags, go.version)
    target = how.target(module)

    if not how.vendored:
        console.say(f"  {module}: modules that are not in {env['GOMODCACHE']} yet are fetched")

    def listed(*words: str) -> str:
        hint = f"look for files that lack in {tree}" + (
            "" if how.vendored else "; its vendor/ is not whole, so mirror.goproxy has to answer"
        )
        return run(go.bin, "list", *tags, *words, cwd=how.root, env=env, hint=hint).stdout

    if go_minor(go.version) >= DEPS:
        listing = listed("-deps", "-f", form, target)
    else:
        deps = listed("-f", "{{range .Deps}}{{.}} {{end}}", target).split()
        listing = listed("-f", form, *deps, target)
    real = tree.resolve()
    folders: set[str] = set()
    packages = []
    for line in listing.splitlines():
        package, folder, *embedded = line.split("\t")
        packages.append(package)
        files_ = [Path(folder) / name for name in ("package.go", *embedded)] if folder else []
        for place in {place for file in files_ for place in (file.parent, file.parent.resolve())}:
            for top in (how.root, real):
                if place.is_relative_to(top):
                    folders.add(str(place.relative_to(top)))
    return folders, packages


def _memory(settings: Settings, module: str) -> Path:
    return settings.paths.sources(module).with_suffix(".packages")


def _remembered(settings: Settings, module: str) -> dict[str, Any]:
    """Return what was found out the last time; nothing, if another version of the tool did it."""
    value: dict[str, Any] = files.read_json(_memory(settings, module)) or {}
    return value if isinstance(value.get("packages"), list) else {}


def describe(before: str, after: str) -> str:
    """Say which files differ between two manifests."""
    old, new = _entries(before), _entries(after)
    changed = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    few = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
    return f"{len(changed)} file{'s' * (len(changed) != 1)} changed: {few}"


def _entries(manifest_: str) -> dict[str, str]:
    pairs = (line.split("  ", 1) for line in manifest_.splitlines())
    return {path: blob for blob, path in pairs}


def task_sources(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per module that writes its digest manifest."""
    yield {"name": None, "doc": "look which files of a module changed"}
    for module in registry.modules():
        yield {
            "name": module,
            "doc": f"look which files of {module} changed",
            "actions": [(refresh, [settings, module])],
            "targets": [str(settings.paths.sources(module))],
            "task_dep": ["checkout", "toolchain:go"],
            "uptodate": [False],
            "clean": True,
            "meta": {"quiet": True},
        }
