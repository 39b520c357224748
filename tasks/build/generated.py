"""Generated code of a tree: task `generated` runs make where it is missing or out of date.

Up to 1.25 upstream's make generates code before it compiles: conversion, defaults, deep copies,
OpenAPI.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.build import digest_list, generator_inputs, sources
from tasks.build.edits import OPENAPI
from tasks.cli.task import Check, action
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import is_source, load_checkout
from tasks.settings.load import Settings
from tasks.system import files, resources
from tasks.system.run import follow, program

COPY_GIB = 1.5
"""GiB that the copy of the tree and the output of make need."""
MAKEFILES = ("Makefile.generated_files", "build/root/Makefile.generated_files")
"""Makefiles of the target generated_files; a tree that needs it has one of them."""


@action
def generate(settings: Settings) -> None:
    """Run upstream's make to generate code that is missing in the tree or older than its API types.

    make runs in a copy of the tree. The tree itself gets only the generated files that differ.
    """
    tree = load_checkout(settings.paths.lock).tree
    if not _has_target(tree):
        return
    if not (tree / OPENAPI).is_file():
        _update(settings, tree, _made(settings, tree, ()))
    inputs = generator_inputs.read(settings)
    if changed := inputs.changed:
        console.note(f"API types changed: {digest_list.first_of(changed)}")
        kept = generator_inputs.kept_code(settings, inputs)
        _update(settings, tree, _made(settings, tree, changed) if kept is None else kept)
    generator_inputs.save(settings, inputs)


def _made(settings: Settings, tree: Path, changed: Collection[str]) -> dict[str, bytes]:
    """Return the files by path that make generates from a tree, with these changed files."""
    program("make")
    resources.require_disk(settings.paths.cache, COPY_GIB, "make generated_files")
    with files.scratch(settings.paths.cache / "generated") as copy:
        shutil.copytree(tree, copy, symlinks=True, ignore=_not_copied, dirs_exist_ok=True)
        for path in changed:  # make compares times only
            if (copy / path).is_file():
                (copy / path).touch()
        _run_make(settings, copy)
        return {path: (copy / path).read_bytes() for path in generator_inputs.outputs(copy)}


def _update(settings: Settings, tree: Path, made: Mapping[str, bytes]) -> None:
    """Write the generated files that differ into the tree."""
    written = [path for path, content in made.items() if _write(tree / path, content)]
    if written:
        sources.look_again(settings)
        console.note(f"generated {digest_list.first_of(written)}")


def _write(path: Path, content: bytes) -> bool:
    mode = path.stat().st_mode & 0o777 if path.is_file() else 0o644
    return files.write_if_changed(path, content, mode)


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Return the names in a folder that make does not need: output, images, private files."""
    paths = (Path(folder, name) for name in names)
    return {".git", ".make", "_output"} | {path.name for path in paths if not is_source(path)}


def _run_make(settings: Settings, tree: Path) -> None:
    env = tool_record.go_env(settings, tool_record.load_tool(settings, "go"))
    for name in ("GOPATH", "GOFLAGS", "GOCACHE", "GOMODCACHE"):
        env.pop(name, None)
    shim = _write_rsync_shim(settings.paths.cache / "shim")
    env |= {
        "GOPROXY": "off",
        "FORCE_HOST_GO": "y",
        "UPDATE_API_KNOWN_VIOLATIONS": "true",
        "PATH": f"{env['PATH']}:{shim}",
    }
    heartbeat, output = console.Heartbeat(), list[str]()
    console.say("  make generated_files: builds upstream's generators first, which takes minutes")

    def on_line(text: str) -> None:
        output.append(text)
        heartbeat.beat("make generated_files")

    if follow("make", "generated_files", on_line=on_line, cwd=tree, env=env):
        tail = "\n".join(f"  | {text}" for text in output[-20:])
        raise Failure(
            f"make generated_files failed in a copy of the tree\n{tail}",
            "fix the error above, or use a version that contains the code (1.24 or newer)",
        )


def _write_rsync_shim(folder: Path) -> Path:
    """Write a replacement of rsync into a folder and return the folder.

    hack/lib/golang.sh calls `rsync -pc FILE FOLDER`, but few machines have rsync.
    """
    files.write_if_changed(folder / "rsync", '#!/bin/sh\nexec cp -p "$2" "$3"\n', 0o755)
    return folder


def _has_target(tree: Path) -> bool:
    return any((tree / name).exists() for name in MAKEFILES)


def is_generated(settings: Settings) -> bool:
    """Return whether the checkout has all generated code, made from its current API types."""
    tree = load_checkout(settings.paths.lock).tree
    if not _has_target(tree):
        return True
    return (tree / OPENAPI).is_file() and generator_inputs.is_known(settings)


def task_generated(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the task that generates code of the tree."""
    yield {
        "basename": "generated",
        "doc": "generate code that is missing in the tree or out of date",
        "actions": [(generate, [settings])],
        "file_dep": [str(settings.paths.lock)],
        "task_dep": ["toolchain:go"],
        "meta": {"quiet": True},
        "uptodate": [Check("the generated code fits the tree", is_generated, (settings,))],
    }
