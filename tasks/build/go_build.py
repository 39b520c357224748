"""Runs go: modules with the same recipe in one invocation, their packages counted as they pass."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasks.build import dwarf_check, go_command, layout
from tasks.build.go_command import Recipe
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tool_record import go_env, load_tool
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import files, resources
from tasks.system.run import follow, program


@contextmanager
def compile_modules(
    settings: Settings, modules: Sequence[str], recipe: Recipe, total: int
) -> Iterator[Path]:
    """Yield a folder with the modules' binaries, proven debuggable; it is gone afterwards.

    `total` is the number of packages they are made of. Raises Failure with go's last words.
    """
    go = load_tool(settings, "go")
    seen = layout.layout_of(settings.paths, load_checkout(settings.paths.lock))
    with _scratch(settings.paths.binaries) as scratch:
        env = go_command.environment(go_env(settings, go), seen, cgo=recipe.cgo, out=scratch)
        overlay = _write_overlay(recipe, scratch)
        targets = [seen.target(module) for module in modules]
        words = recipe.arguments(resources.jobs(settings.build.jobs), scratch, overlay, targets)
        _go(go.bin, words, env, seen.root, ", ".join(modules), total=total)
        for module in modules:
            dwarf_check.prove_debuggable(scratch / module)
        yield scratch


def require_c_compiler(modules: Sequence[str]) -> None:
    """Refuse modules that are linked against C when there is no C compiler."""
    needing = ", ".join(modules)
    try:
        program("gcc")
    except Failure:
        raise Failure(
            f"{needing} is linked against C and needs a C compiler, but gcc is not installed",
            "install one (apt-get install -y gcc libc6-dev), or set START_MODE=nokubelet",
        ) from None


def _go(
    go: Path, words: Sequence[str], env: Mapping[str, str], folder: Path, what: str, *, total: int
) -> None:
    """Run go and count the packages it compiles; on failure show its last words."""
    beat, output, packages = console.Heartbeat(), list[str](), 0

    def line(text: str) -> None:
        nonlocal packages
        if text.startswith("#") or " " in text or ":" in text:
            output.append(text)
        else:
            packages += 1
        beat.beat(f"{what}: {packages} of {total} packages compiled")

    beat.beat(f"{what}: starting")
    if follow(go, *words, on_line=line, cwd=folder, env=env):
        said = "\n".join(f"  | {text}" for text in output[-20:])
        killed = any("signal: killed" in text for text in output)
        hint = (
            "the machine ran out of memory: set build.jobs to 1"
            if killed
            else ("correct the source it names and run the task again")
        )
        raise Failure(f"go could not build {what} in {folder}\n{said}", hint)
    console.note(f"{packages} packages compiled for {what}")


def _write_overlay(recipe: Recipe, scratch: Path) -> Path:
    replace = {}
    for number, (path, text) in enumerate(sorted(recipe.overlay.items())):
        replacement = scratch / f"overlay-{number}.go"
        files.write(replacement, text)
        replace[path] = str(replacement)
    target = scratch / "overlay.json"
    files.write(target, json.dumps({"Replace": replace}))
    return target


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".building-*"):  # of a killed run: nobody else compiles under our lock
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=folder, prefix=".building-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
