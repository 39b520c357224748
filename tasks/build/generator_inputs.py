"""Inputs and outputs of upstream's generators: which API types changed since code was generated."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.build import edits, sources
from tasks.components import registry
from tasks.core import doit_run
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import files, state
from tasks.system.git import Git

_PREFIX = "zz_generated"
_BODY = re.compile(rb"^(func [^\n]*\{)\n.*?^\}", re.DOTALL | re.MULTILINE)
"""Matches a function: generators read its name, its types and its comment, not its body."""
_KEPT = 8
"""Number of states of the API types whose generated code is kept."""


@dataclass(frozen=True)
class Inputs:
    """API types of a tree, and those from which the code was generated."""

    now: Mapping[str, tuple[str, str]]
    """Blob digest, and digest without the bodies of functions, by path."""
    done: Mapping[str, tuple[str, str]]
    git: Git
    commit_file: Path

    @property
    def changed(self) -> set[str]:
        """Files from which other code would be generated.

        A file that is seen for the first time counts if it is not the one of the commit: the
        generated code of the commit fits.
        """
        gone = self.done.keys() - self.now.keys()
        found = {path for path in gone if os.path.dirname(path) in self.folders}  # noqa: PTH120
        for path, (blob, shape) in self.now.items():
            before = self.done.get(path)
            if (
                before[1] != shape
                if before
                else edits.committed(self.git, self.commit_file).get(path) != blob
            ):
                found.add(path)
        return found

    @property
    def folders(self) -> set[str]:
        """Folders of the API types."""
        return {os.path.dirname(path) for path in self.now}  # noqa: PTH120

    @property
    def digest(self) -> str:
        """Digest of all API types."""
        return files.digest(*(f"{path} {shape}" for path, (_, shape) in sorted(self.now.items())))


def is_known(settings: Settings) -> bool:
    """Return whether no file of the build changed since code was generated."""
    recorded = _record(settings).serial
    return recorded != "" and recorded == _serial(settings)


def read(settings: Settings) -> Inputs:
    """Return the API types of the modules of this run, and of earlier runs."""
    _serial(settings)
    checkout, done = load_checkout(settings.paths.lock), _record(settings).files
    now = {}
    for path, blob in sources.tagged_files(settings).items():
        known = done.get(path)
        content = b"" if known and known[0] == blob else (checkout.tree / path).read_bytes()
        now[path] = known if known and known[0] == blob else (blob, _shape(content))
    return Inputs(now, done, checkout.git, sources.commit_file(settings, checkout))


def save(settings: Settings, inputs: Inputs) -> None:
    """Record that the generated code of the tree fits its API types, and keep that code."""
    tree = load_checkout(settings.paths.lock).tree
    value = _Record(_serial(settings), {**inputs.done, **inputs.now})
    archive = _archive(settings, inputs)
    if not archive.is_file():
        archive.parent.mkdir(parents=True, exist_ok=True)
        part = archive.with_suffix(".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as kept:
            for path in [*_outputs_of(inputs, tree), edits.OPENAPI]:
                kept.write(tree / path, path)
        part.replace(archive)
        oldest_first = sorted(archive.parent.glob("*.zip"), key=lambda path: path.stat().st_mtime)
        for old in oldest_first[:-_KEPT]:
            old.unlink()
    files.write_json(_path(settings), asdict(value))


def kept_code(settings: Settings, inputs: Inputs) -> dict[str, bytes] | None:
    """Return the code by path that was generated before from the same API types."""
    archive = _archive(settings, inputs)
    if not archive.is_file():
        return None
    with zipfile.ZipFile(archive) as kept:
        return {name: kept.read(name) for name in kept.namelist()}


def outputs(tree: Path) -> list[str]:
    """Return the paths of all generated files of a tree."""
    found = []
    for top in ("pkg", "staging", "cmd", "plugin"):
        for folder, _, names in os.walk(tree / top):
            here = os.path.relpath(folder, tree)
            found += [f"{here}/{name}" for name in names if _is_output(name)]
    return sorted(found)


def _outputs_of(inputs: Inputs, tree: Path) -> list[str]:
    """Return the paths of the generated files next to API types."""
    return sorted(
        f"{folder}/{name}"
        for folder in inputs.folders
        for name in os.listdir(tree / folder)  # noqa: PTH208
        if _is_output(name) and f"{folder}/{name}" != edits.OPENAPI
    )


def _is_output(name: str) -> bool:
    """Return whether a file name is one of a generated file."""
    return name.startswith(_PREFIX) and name.endswith(".go")


def _shape(content: bytes) -> str:
    return files.digest(_BODY.sub(rb"\1}", content))[:16]


def _serial(settings: Settings) -> str:
    """Return the serial of the file table, when it has the files of all modules of this run."""
    run = doit_run.current()
    needed = [name.partition(":")[2] for name in run.selected_with_dependencies("sources:")]
    tree = load_checkout(settings.paths.lock).tree
    modules = [name for name in needed or registry.modules() if (tree / "cmd" / name).is_dir()]
    for module in modules:
        sources.current_digests(settings, module)
    return sources.serial(settings)


@dataclass(frozen=True)
class _Record:
    """The API types from which the generated code of a tree was made."""

    serial: str
    files: dict[str, tuple[str, str]]


def _record(settings: Settings) -> _Record:
    return state.load(_path(settings), _Record) or _Record("", {})


def _path(settings: Settings) -> Path:
    return sources.folder_of(settings, load_checkout(settings.paths.lock)) / "generated.json"


def _archive(settings: Settings, inputs: Inputs) -> Path:
    return _path(settings).parent / "generated" / f"{inputs.digest[:16]}.zip"
