"""Run `go build`: modules with the same recipe in one invocation, with a count of packages."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.build import action_graph, dwarf_check, go_command, layout, limits, overlay
from tasks.build.go_command import Recipe
from tasks.core import console, timeline
from tasks.core.errors import Failure
from tasks.kubernetes.tool_record import go_env, load_tool
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.run import follow, program

_ERROR = re.compile(r"\S+\.\w+:\d+(:\d+)?: ")
"""Matches an error of the compiler: file, line, column, text."""


@dataclass(frozen=True)
class GoCommand:
    """A command line of go, its environment and its working folder."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path


@contextmanager
def compile_modules(
    settings: Settings, earlier: Mapping[str, Path | None], recipe: Recipe, total: int
) -> Iterator[Path]:
    """Compile modules and yield a temporary folder with their binaries, which can be debugged.

    `earlier` has the newest binary of each module: go does not link a binary again that would be
    the same. `total` is the number of packages. Raises Failure with go's last output.
    """
    modules = tuple(earlier)
    with _scratch(settings.paths.binaries) as scratch:
        graph = scratch / "actions.json"
        with_graph = timeline.is_recorded() and action_graph.is_known(recipe.go)
        options = action_graph.arguments(graph) if with_graph else []
        command = command_for(settings, modules, recipe, scratch, options)
        if go_command.go_minor(recipe.go) >= go_command.GO_WITH_CONTENT_IDS:
            for module, binary in earlier.items():
                _offer(binary, scratch / module)
        try:
            _go(command, ", ".join(modules), total=total)
        finally:
            timeline.add_spans(action_graph.spans(action_graph.load(graph)))
        for module in modules:
            with timeline.span(f"check debug information of {module}", "check"):
                proof = settings.paths.cache / "proofs" / recipe.flags_digest(module)
                dwarf_check.prove_once(scratch / module, proof)
        yield scratch


def command_for(
    settings: Settings,
    modules: Sequence[str],
    recipe: Recipe,
    scratch: Path,
    options: Sequence[str] = (),
) -> GoCommand:
    """Return the command that builds modules with one recipe into a folder.

    Writes the overlay of the recipe into the folder. `options` are more options of `go build`.
    """
    go = load_tool(settings, "go")
    tree_layout = layout.layout_of(settings.paths, load_checkout(settings.paths.lock))
    env = go_command.environment(go_env(settings, go), tree_layout, cgo=recipe.cgo, out=scratch)
    replacements = scratch / "overlay"
    env |= overlay.write(recipe.overlay, go_command.go_minor(recipe.go), replacements)
    targets = [tree_layout.target(module) for module in modules]
    limit = limits.current(settings, recipe.go)
    build, *rest = recipe.arguments(limit.jobs, scratch, replacements, targets)
    env |= limit.variables
    return GoCommand((str(go.bin), build, *options, *rest), env, tree_layout.root)


def _offer(binary: Path | None, target: Path) -> None:
    """Copy an earlier binary to where go writes the new one."""
    with suppress(OSError):  # without it, go links
        if binary is not None:
            shutil.copy(binary, target)


def require_c_compiler(modules: Sequence[str]) -> None:
    """Raise Failure if gcc is not installed: these modules are linked against C."""
    names = ", ".join(modules)
    try:
        program("gcc")
    except Failure:
        raise Failure(
            f"cannot build {names}: it links C code, but gcc is not installed",
            "install it (apt-get install -y gcc libc6-dev), or set START_MODE=nokubelet",
        ) from None


def _go(command: GoCommand, names: str, *, total: int) -> None:
    """Run go and count the packages that it compiles. Raises Failure with its last output."""
    heartbeat, output, packages = console.Heartbeat(), list[str](), 0

    def on_line(text: str) -> None:
        nonlocal packages
        if text.startswith("#") or " " in text or ":" in text:
            output.append(text)
        else:
            packages += 1
        heartbeat.beat(f"{names}: {packages} of {total} packages compiled")

    heartbeat.beat(f"{names}: starting")
    if follow(*command.argv, on_line=on_line, cwd=command.folder, env=command.env):
        tail = "\n".join(f"  | {text}" for text in _excerpt(output))
        killed = any("signal: killed" in text for text in output)
        hint = (
            "the machine ran out of memory: set build.jobs to 1"
            if killed
            else "fix the source file named above and run the task again"
        )
        raise Failure(f"go could not build {names} in {command.folder}\n{tail}", hint)
    console.note(f"{packages} packages compiled for {names}")


def _excerpt(output: Sequence[str], lines: int = 20) -> Sequence[str]:
    """Return the lines of go's output from its first error on, or else the last lines."""
    first = next((n for n, text in enumerate(output) if _ERROR.match(text)), len(output))
    start = max(0, min(first - 1, len(output) - lines))
    return output[start : start + lines]


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    files.make_shared(folder)
    # left by a killed run: build.lock allows one compilation at a time
    for leftover in folder.glob(".building-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".building-"))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
