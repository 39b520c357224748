"""Stage 4, before the modules: generated code, made once where a tree does not carry it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks import report, toolchain
from tasks.failure import Failure
from tasks.run import follow, program
from tasks.settings import Settings, current
from tasks.tree import load_checkout

OPENAPI = Path("pkg/generated/openapi/zz_generated.openapi.go")
"""Ignored by git and absent up to 1.23; kube-apiserver does not compile without it."""
MAKEFILES = ("Makefile.generated_files", "build/root/Makefile.generated_files")


@report.action
def generate(settings: Settings) -> None:
    """Make the generated OpenAPI code where the tree lacks it, as upstream's make does."""
    checkout = load_checkout(settings.paths.lock)
    target = checkout.tree / OPENAPI
    if not _lacks_generated(checkout.tree):
        report.note("the tree has its generated code")
        return
    go = toolchain.load_tool(settings, "go")
    env = toolchain.go_env(settings, go)
    for name in ("GOPATH", "GOFLAGS", "GOCACHE", "GOMODCACHE"):
        env.pop(name, None)
    env |= {"GOPROXY": "off", "FORCE_HOST_GO": "y", "KUBE_VERBOSE": "1"}
    beat, output = report.Heartbeat(), list[str]()

    def line(text: str) -> None:
        output.append(text)
        beat.beat("make generated_files")

    program("make")
    if follow("make", "generated_files", on_line=line, cwd=checkout.tree, env=env):
        target.unlink(missing_ok=True)
        said = "\n".join(f"  | {text}" for text in output[-20:])
        raise Failure(f"make generated_files failed in {checkout.tree}\n{said}")
    shutil.rmtree(checkout.tree / "_output", ignore_errors=True)
    report.note(f"made {OPENAPI}")


def _lacks_generated(folder: Path) -> bool:
    can_make = any((folder / name).exists() for name in MAKEFILES)
    return can_make and not (folder / OPENAPI).is_file()


class Generated:
    """Up-to-date check: the tree has all generated code."""

    def __init__(self, lock: Path) -> None:
        self.lock = lock

    def __call__(self) -> bool:
        """Look, and never raise: doit would end the whole run."""
        try:
            return not _lacks_generated(load_checkout(self.lock).tree)
        except Failure:
            return False

    def __repr__(self) -> str:
        return "the tree has its generated code"


def task_generated() -> Iterator[dict[str, Any]]:
    """Make generated code where the tree lacks it."""
    settings = current()
    yield {
        "basename": "generated",
        "doc": "make generated code once, where the tree lacks it",
        "actions": [(generate, [settings])],
        "file_dep": [str(settings.paths.lock)],
        "task_dep": ["toolchain:go"],
        "uptodate": [Generated(settings.paths.lock)],
    }
