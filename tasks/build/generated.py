"""Generated code of the tree: made once, where a tree lacks it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.cli.task import Check, action
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import files, resources
from tasks.system.run import follow, program

OPENAPI = Path("pkg/generated/openapi/zz_generated.openapi.go")
"""Ignored by git and absent up to 1.23; kube-apiserver does not compile without it."""
COPY_GIB = 1.5
"""GiB the copy of the tree and what make builds in it take."""
MAKEFILES = ("Makefile.generated_files", "build/root/Makefile.generated_files")


@action
def generate(settings: Settings) -> None:
    """Make the generated OpenAPI code where the tree lacks it, as upstream's make does.

    make runs in a copy, so that the tree gains one file that git ignores and nothing else.
    """
    tree = load_checkout(settings.paths.lock).tree
    if not _lacks_generated(tree):
        return
    program("make")
    resources.require_disk(settings.paths.cache, COPY_GIB, "make generated_files")
    with files.scratch(settings.paths.cache / "generated") as copy:
        skip = shutil.ignore_patterns(".git", ".make", "_output")
        shutil.copytree(tree, copy, symlinks=True, ignore=skip, dirs_exist_ok=True)
        _make(settings, copy)
        files.write(tree / OPENAPI, (copy / OPENAPI).read_bytes())
    console.note(f"made {OPENAPI}")


def _make(settings: Settings, tree: Path) -> None:
    env = tool_record.go_env(settings, tool_record.load_tool(settings, "go"))
    for name in ("GOPATH", "GOFLAGS", "GOCACHE", "GOMODCACHE"):
        env.pop(name, None)
    shim = _rsync(settings.paths.cache / "shim")
    env |= {"GOPROXY": "off", "FORCE_HOST_GO": "y", "PATH": f"{env['PATH']}:{shim}"}
    beat, output = console.Heartbeat(), list[str]()
    console.say(
        "  make generated_files: upstream's generators are built first, which takes minutes"
    )

    def line(text: str) -> None:
        output.append(text)
        beat.beat("make generated_files")

    if follow("make", "generated_files", on_line=line, cwd=tree, env=env):
        said = "\n".join(f"  | {text}" for text in output[-20:])
        raise Failure(f"make generated_files failed in a copy of the tree\n{said}")


def _rsync(folder: Path) -> Path:
    """Provide what hack/lib/golang.sh asks of rsync, which few machines have: -pc FILE FOLDER."""
    files.write_if_changed(folder / "rsync", '#!/bin/sh\nexec cp -p "$2" "$3"\n', 0o755)
    return folder


def _lacks_generated(folder: Path) -> bool:
    can_make = any((folder / name).exists() for name in MAKEFILES)
    return can_make and not (folder / OPENAPI).is_file()


def is_generated(lock: Path) -> bool:
    """Tell whether the checkout has all generated code."""
    return not _lacks_generated(load_checkout(lock).tree)


def task_generated(settings: Settings) -> Iterator[dict[str, Any]]:
    """Make generated code where the tree lacks it."""
    yield {
        "basename": "generated",
        "doc": "make generated code once, where the tree lacks it",
        "actions": [(generate, [settings])],
        "file_dep": [str(settings.paths.lock)],
        "task_dep": ["toolchain:go"],
        "uptodate": [
            Check("the tree has its generated code", is_generated, (settings.paths.lock,))
        ],
    }
