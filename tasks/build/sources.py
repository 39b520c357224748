"""Source digests of a module: the files it is built from, each with its git blob digest.

`sources:<module>` looks at these files in every run, but writes the *.sources file only after one
of them changed. `build:<module>` depends on that file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.build import digest_list, file_table, go_command, layout, package_list, recorded
from tasks.build.file_table import FileTable, State
from tasks.build.package_list import PackageList
from tasks.cli.task import action
from tasks.components import registry
from tasks.core import console, doit_run
from tasks.core.doit_run import once_per_run
from tasks.kubernetes import facts, tool_record
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings.load import Settings
from tasks.system import files, state

GO_ROOT = "$GOROOT"
"""Path in source digests that stands for the Go toolchain and its standard library."""
GO_MODULES = "$GOMODCACHE"
"""Start of the paths of Go's module cache in source digests."""


@once_per_run
def _table(folder: Path) -> FileTable:
    """Return the files of the tree, as of the first call in this run."""
    return file_table.opened(folder / "files.json")


def look_again(settings: Settings) -> None:
    """Look at the files of the tree again, to see edits made in the meantime."""
    _table(folder_of(settings, load_checkout(settings.paths.lock))).look()


@action
def refresh(settings: Settings, module: str) -> None:
    """Run `update` as a doit action."""
    update(settings, module)


def update(settings: Settings, module: str) -> None:
    """Update the source digests of a module; an unchanged file keeps its modification time."""
    before = recorded.digests(settings, module).text
    after = current_digests(settings, module)
    if after == before:
        return
    files.write(settings.paths.sources(module), after)
    if before:
        console.note(digest_list.describe_changes(before, after))


@dataclass(frozen=True)
class _Seal:
    """The state of the file table in which source digests were current."""

    serial: str
    digest: str
    """Digest of the source digests."""


def current_digests(settings: Settings, module: str) -> str:
    """Return the source digests of a module in the current tree."""
    checkout = load_checkout(settings.paths.lock)
    folder = folder_of(settings, checkout)
    table = _table(folder)
    key = package_list.key_of(settings, checkout, module)
    seal = folder / f"{key[:16]}.{settings.name}.json"
    known = state.load(seal, _Seal)
    if known and known.serial == table.serial:
        last = recorded.digests(settings, module)
        if last.digest == known.digest:
            table.save()
            return last.text  # no file that counts has changed since
    listed = _packages(settings, checkout, module)
    text = _digests(settings, checkout, listed, table)
    table.save()
    if listed.structure and listed.vendored:
        files.write_json(seal, asdict(_Seal(table.serial, files.digest(text))))
    return text


def states(settings: Settings, module: str) -> list[State]:
    """Return the states of a module's files: a file that is written gets another state."""
    checkout = load_checkout(settings.paths.lock)
    listed = _packages(settings, checkout, module)
    paths, _ = listed.watched(os.path.realpath(checkout.tree))
    return _table(folder_of(settings, checkout)).states(paths)


def has_edits_since(settings: Settings, module: str, before: Sequence[State]) -> bool:
    """Return whether a file of a module was written, added or removed since `states`."""
    if current_digests(settings, module) != recorded.digests(settings, module).text:
        return True
    now = states(settings, module)
    pairs = zip(before, now, strict=False)
    return len(now) != len(before) or any(a not in (b, file_table.UNKNOWN) for a, b in pairs)


def serial(settings: Settings) -> str:
    """Return a text that differs after each change of a file that counts."""
    return _table(folder_of(settings, load_checkout(settings.paths.lock))).serial


def tagged_files(settings: Settings) -> dict[str, str]:
    """Return the files that generators read, with their digests.

    A generator reads all files of a package if one of them has its tag.
    """
    checkout = load_checkout(settings.paths.lock)
    table, root = _table(folder_of(settings, checkout)), f"{os.path.realpath(checkout.tree)}/"
    tagged = {path.rpartition("/")[0] for path, entry in table.files.items() if entry[3]}
    return {
        path.removeprefix(root): entry[1]
        for path, entry in table.files.items()
        if entry[1]
        and path.startswith(root)
        and path.endswith(".go")
        and "/zz_generated" not in path
        and path.rpartition("/")[0] in tagged
    }


def package_count(settings: Settings, modules: Sequence[str]) -> int:
    """Return the number of packages of these modules, including the standard library's."""
    checkout = load_checkout(settings.paths.lock)
    packages = (_packages(settings, checkout, module).packages for module in modules)
    return len(set[str]().union(*packages))


def folder_of(settings: Settings, checkout: Checkout) -> Path:
    """Return the folder in which facts about a tree are kept; instances can share a tree."""
    name = files.digest(os.path.realpath(checkout.tree))[:16]
    return settings.paths.cache / "sources" / name


def commit_file(settings: Settings, checkout: Checkout) -> Path:
    """Return the file with the digests of the files of the tree's commit."""
    return folder_of(settings, checkout) / "commit.json"


@once_per_run
def _lists() -> dict[str, tuple[str, PackageList]]:
    """Return the package lists of this run by key, each with the serial for which it is current."""
    return {}


def _packages(settings: Settings, checkout: Checkout, module: str) -> PackageList:
    """Return the packages of a module; `go list` runs only if its answer can have changed."""
    folder, root = folder_of(settings, checkout), os.path.realpath(checkout.tree)
    table, key = _table(folder), package_list.key_of(settings, checkout, module)
    serial, known = _lists().get(key, ("", None))
    if known is not None and serial == table.serial:
        return known
    known = _kept(settings, checkout, module)
    if known is not None and known.is_current(root, table):
        _lists()[key] = table.serial, known
        return known
    minor_facts, choice = facts.minor(checkout.minor), settings.build.cgo
    cgo = go_command.uses_cgo(module, minor_facts, choice)
    run = doit_run.current()
    needed = [name.partition(":")[2] for name in run.selected_with_dependencies("sources:")]
    others = [
        name
        for name in needed
        if name != module
        and go_command.uses_cgo(name, minor_facts, choice) == cgo
        and (checkout.tree / "cmd" / name).is_dir()
        and not ((kept := _kept(settings, checkout, name)) and kept.is_current(root, table))
    ]
    read = package_list.read(settings, checkout, [module, *others], table)
    for listed in read.values():
        package_list.save(folder / f"{listed.key[:16]}.json", listed)
        if listed.structure:
            _lists()[listed.key] = table.serial, listed
    return read[module]


def _kept(settings: Settings, checkout: Checkout, module: str) -> PackageList | None:
    key = package_list.key_of(settings, checkout, module)
    known = package_list.kept(folder_of(settings, checkout) / f"{key[:16]}.json")
    completed = known and not known.vendored and layout.layout_of(settings.paths, checkout).vendored
    return None if completed else known


def _digests(settings: Settings, checkout: Checkout, listed: PackageList, table: FileTable) -> str:
    """Return `digest  path` lines. Paths are the same on each machine: a bundle is moved."""
    root = os.path.realpath(checkout.tree)
    go_root = f"{os.path.realpath(str(tool_record.load_tool(settings, 'go').root))}/"
    go_modules = f"{os.path.realpath(settings.paths.cache / 'gomod')}/"
    lines, of_go = [], []
    for name in listed.files:
        path = os.path.join(root, name)  # noqa: PTH118
        if not (digest := table.files[path][1]):
            continue
        if path.startswith(go_root):
            of_go.append(f"{digest}  {path.removeprefix(go_root)}\n")
        elif path.startswith(go_modules):
            lines.append(f"{digest}  {GO_MODULES}/{path.removeprefix(go_modules)}\n")
        else:
            lines.append(f"{digest}  {name}\n")
    lines.append(f"{file_table.blob_digest(''.join(of_go).encode())}  {GO_ROOT}\n")
    return "".join(lines)


def task_sources(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per module that writes its source digests."""
    yield {"name": None, "doc": "detect changed source files"}
    for module in registry.modules():
        yield {
            "name": module,
            "doc": f"detect changed source files of {module}",
            "actions": [(refresh, [settings, module])],
            "targets": [str(settings.paths.sources(module))],
            "task_dep": ["checkout", "toolchain:go", "generated"],
            "uptodate": [False],
            "clean": True,
            "meta": {"quiet": True},
        }
