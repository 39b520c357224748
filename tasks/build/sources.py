"""Source digests of a module: the files it is built from, each with its git blob digest.

`sources:<module>` reads the tree in every run, but writes the *.sources file only after a file of
the module changed. `build:<module>` depends on that file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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
from tasks.kubernetes.tree import Checkout, Snapshot, load_checkout, snapshot
from tasks.settings.load import Settings
from tasks.system import damage, files, state
from tasks.system.run import run

GO_WITH_LIST_DEPS = (1, 11)
"""First Go that has `go list -deps`."""
_DIGESTS = re.compile(r"([0-9a-f]{40,64}  [^\n]+\n)*")


@dataclass(frozen=True)
class _Packages:
    """The packages of a module; an older stepkube wrote some of the fields only."""

    tree: str
    folders: tuple[str, ...] = ()
    embedded: tuple[str, ...] | None = None
    packages: tuple[str, ...] | None = None
    cgo: bool | None = None


@once_per_run
def _tree_snapshot(checkout: Checkout) -> Snapshot:
    """Return the files of the tree, as of the first call in this run."""
    return snapshot(checkout.git)


def forget_snapshot() -> None:
    """Read the tree again at the next call, to see edits made in the meantime."""
    forget(_tree_snapshot)


@action
def refresh(settings: Settings, module: str) -> None:
    """Run `update` as a doit action."""
    update(settings, module)


def update(settings: Settings, module: str) -> None:
    """Update the source digests of a module; an unchanged file keeps its modification time."""
    target = settings.paths.sources(module)
    before = recorded_digests(settings, module)
    after = current_digests(settings, module, before)
    if files.write_if_changed(target, after) and before:
        console.note(describe_changes(before, after))


def recorded_digests(settings: Settings, module: str) -> str:
    """Return the source digests of a module as written; empty if there are none. See state.load."""
    path = settings.paths.sources(module)
    try:
        text = damage.read_text(path)
        if _DIGESTS.fullmatch(text):
            return text
        damage.set_aside(path, "it has a line without a digest")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except damage.DamagedError as error:
        damage.set_aside(path, error)
    return ""


def current_digests(settings: Settings, module: str, before: str) -> str:
    """Return the source digests of a module in the current tree.

    `go list` runs only if a file of the recorded packages changed since `before`: no other change
    can alter the list of packages.
    """
    checkout = load_checkout(settings.paths.lock)
    recorded = _load_packages(settings, module)
    cgo = go_command.uses_cgo(module, facts.minor(checkout.minor), settings.build.cgo)
    same = recorded and (recorded.tree, recorded.cgo) == (str(checkout.tree), cgo)
    if recorded and recorded.embedded is not None and same:
        folders, embedded = set(recorded.folders), set(recorded.embedded)
        digests = _tree_snapshot(checkout).digests(folders, embedded)
        if digests == before:
            return digests
    folders, embedded, packages = list_packages(settings, checkout, module)
    value = _Packages(
        str(checkout.tree), tuple(sorted(folders)), tuple(sorted(embedded)), tuple(packages), cgo
    )
    files.write_json(_packages_file(settings, module), asdict(value))
    return _tree_snapshot(checkout).digests(folders, embedded)


def package_count(settings: Settings, modules: Sequence[str]) -> int:
    """Return the number of packages of these modules, including the standard library's."""
    recorded = (_load_packages(settings, module) for module in modules)
    return len(set[str]().union(*(known.packages or () for known in recorded if known)))


def list_packages(
    settings: Settings, checkout: Checkout, module: str
) -> tuple[set[str], set[str], list[str]]:
    """Return the folders of a module's packages, those of embedded files, and all packages' names.

    The first folders include the second, but not those of the standard library, which depends only
    on the Go version. Raises Failure if the module does not exist or `go list` fails.
    """
    tree = checkout.tree
    if not (tree / "cmd" / module).is_dir():
        raise Failure(
            f"{tree} has no cmd/{module}",
            "use a Kubernetes version that has this module",
        )
    go = tool_record.load_tool(settings, "go")
    minor_facts = facts.minor(checkout.minor)
    tree_layout = layout.layout_of(settings.paths, checkout)
    cgo = go_command.uses_cgo(module, minor_facts, settings.build.cgo)
    env = go_command.environment(tool_record.go_env(settings, go), tree_layout, cgo=cgo)
    embeds = "{{range .EmbedFiles}}\t{{.}}{{end}}" if go_minor(go.version) >= (1, 16) else ""
    template = "{{.ImportPath}}\t{{if not .Standard}}{{.Dir}}" + embeds + "{{end}}"
    tags = go_command.tags(minor_facts.build_tags, go.version)
    target = tree_layout.target(module)

    if not tree_layout.vendored:
        cache = env["GOMODCACHE"]
        console.say(f"  {module}: downloads Go modules that are missing in {cache}")

    def go_list(*arguments: str) -> str:
        hint = f"check for missing files in {tree}"
        if not tree_layout.vendored:
            hint += "; its vendor/ is incomplete: set mirror.goproxy to a proxy that answers"
        argv = (str(go.bin), "list", *tags, *arguments)
        result = run(*argv, cwd=tree_layout.root, env=env, check=False)
        if result.code:
            message = f"{shlex.join(argv)} exited with {result.code}\n{result.tail()}"
            raise Failure(message, _module_hint(tree, result.stderr) or hint)
        return result.stdout

    if go_minor(go.version) >= GO_WITH_LIST_DEPS:
        listing = go_list("-deps", "-f", template, target)
    else:
        deps = go_list("-f", "{{range .Deps}}{{.}} {{end}}", target).split()
        listing = go_list("-f", template, *deps, target)
    return _parse_listing(listing, (tree_layout.root, tree.resolve()))


def _module_hint(tree: Path, output: str) -> str:
    """Return the fix if go.mod was edited alone; empty if go names another problem."""
    if re.search(r"go\.(mod|work) requires go >=|invalid go version|unknown directive", output):
        return f"correct the go line of {tree}/go.mod, or set {tree}/.go-version to a newer Go"
    if re.search(r"inconsistent vendoring|updates to go\.(mod|work|sum)|missing go\.sum", output):
        return (
            f"go.mod was edited without vendor/: in {shlex.quote(str(tree))}, run"
            " hack/update-vendor.sh, or undo the edit, run: git checkout go.mod"
        )
    return ""


def _parse_listing(listing: str, roots: Sequence[Path]) -> tuple[set[str], set[str], list[str]]:
    """Return folders relative to one of the roots, and packages, from the output of `go list`."""
    folders: set[Path] = set()
    embedded: set[Path] = set()
    packages = []
    for line in listing.splitlines():
        package, folder, *names = line.split("\t")
        packages.append(package)
        if folder:
            folders.add(Path(folder))
            embedded |= {(Path(folder) / name).parent for name in names}
    return _relative(folders | embedded, roots), _relative(embedded, roots), packages


def _relative(folders: set[Path], roots: Sequence[Path]) -> set[str]:
    """Return each folder, and the one a link leads to, relative to the roots that contain it."""
    return {
        str(path.relative_to(root))
        for folder in folders
        for path in {folder, folder.resolve()}
        for root in roots
        if path.is_relative_to(root)
    }


def _packages_file(settings: Settings, module: str) -> Path:
    return settings.paths.sources(module).with_suffix(".packages")


def _load_packages(settings: Settings, module: str) -> _Packages | None:
    """Return the recorded packages of a module; None if an older stepkube wrote them."""
    known = state.load(_packages_file(settings, module), _Packages)
    return known if known and None not in (known.embedded, known.packages) else None


def describe_changes(before: str, after: str) -> str:
    """Return a message with the files that differ between two lists of source digests."""
    old, new = _parse_digests(before), _parse_digests(after)
    changed = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    first = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
    return f"{len(changed)} file{'s' * (len(changed) != 1)} changed: {first}"


def _parse_digests(text: str) -> dict[str, str]:
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {path: blob for blob, path in pairs}


def task_sources(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per module that writes its source digests."""
    yield {"name": None, "doc": "detect changed source files"}
    for module in registry.modules():
        yield {
            "name": module,
            "doc": f"detect changed source files of {module}",
            "actions": [(refresh, [settings, module])],
            "targets": [str(settings.paths.sources(module))],
            "task_dep": ["checkout", "toolchain:go"],
            "uptodate": [False],
            "clean": True,
            "meta": {"quiet": True},
        }
