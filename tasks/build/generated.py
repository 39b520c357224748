"""Generated OpenAPI code of a tree: task `generated` runs make where it is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.cli.task import Check, action
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import is_source, load_checkout
from tasks.settings.load import Settings
from tasks.system import files, resources
from tasks.system.run import follow, program

OPENAPI = Path("pkg/generated/openapi/zz_generated.openapi.go")
"""Ignored by git and missing up to 1.23; kube-apiserver does not compile without it."""
COPY_GIB = 1.5
"""GiB that the copy of the tree and the output of make need."""
MAKEFILES = ("Makefile.generated_files", "build/root/Makefile.generated_files")
"""Makefiles of the target generated_files; a tree that needs it has one of them."""


@action
def generate(settings: Settings) -> None:
    """Run upstream's make to generate the OpenAPI code, if it is missing in the tree.

    make runs in a copy of the tree. The tree itself gets only one new file, which git ignores.
    """
    tree = load_checkout(settings.paths.lock).tree
    if not _is_missing(tree):
        return
    program("make")
    resources.require_disk(settings.paths.cache, COPY_GIB, "make generated_files")
    with files.scratch(settings.paths.cache / "generated") as copy:
        shutil.copytree(tree, copy, symlinks=True, ignore=_not_copied, dirs_exist_ok=True)
        _run_make(settings, copy)
        files.write(tree / OPENAPI, (copy / OPENAPI).read_bytes(), 0o644)
    console.note(f"generated {OPENAPI}")


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Return the names in a folder that make does not need: output, images, private files."""
    paths = (Path(folder, name) for name in names)
    return {".git", ".make", "_output"} | {path.name for path in paths if not is_source(path)}


def _run_make(settings: Settings, tree: Path) -> None:
    env = tool_record.go_env(settings, tool_record.load_tool(settings, "go"))
    for name in ("GOPATH", "GOFLAGS", "GOCACHE", "GOMODCACHE"):
        env.pop(name, None)
    shim = _write_rsync_shim(settings.paths.cache / "shim")
    env |= {"GOPROXY": "off", "FORCE_HOST_GO": "y", "PATH": f"{env['PATH']}:{shim}"}
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


def _is_missing(tree: Path) -> bool:
    has_target = any((tree / name).exists() for name in MAKEFILES)
    return has_target and not (tree / OPENAPI).is_file()


def is_generated(lock: Path) -> bool:
    """Return whether the checkout has all generated code."""
    return not _is_missing(load_checkout(lock).tree)


def task_generated(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the task that generates missing code of the tree."""
    yield {
        "basename": "generated",
        "doc": "generate the code that is missing in the tree",
        "actions": [(generate, [settings])],
        "file_dep": [str(settings.paths.lock)],
        "task_dep": ["toolchain:go"],
        "uptodate": [
            Check("the tree has its generated code", is_generated, (settings.paths.lock,))
        ],
    }
