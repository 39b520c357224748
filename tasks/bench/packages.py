"""The slowest packages of a build with an empty Go cache, from the action graph of go."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from tasks.bench import builds, scratch
from tasks.bench.scratch import Scratch
from tasks.build import action_graph, go_build, recipes, sources
from tasks.build.action_graph import Action
from tasks.components import registry
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tool_record import load_tool
from tasks.settings.load import Settings
from tasks.system.run import follow

COUNT = 10


def run(settings: Settings, module: str, output: str) -> None:
    """Build one module, or all, with an empty Go cache and print the slowest packages."""
    known = registry.modules()
    if module and module not in known:
        raise Failure(
            f"--module: there is no module named {module!r}", f"use one of: {', '.join(known)}"
        )
    heartbeat = console.Heartbeat()
    with scratch.workspace(settings, name="cold", cold=True) as made:
        modules = [module] if module else builds.all_modules(made)
        actions = compile_cold(made, modules, heartbeat.beat)
    if output == "json":
        console.say_document(as_json(actions))
    else:
        console.say(as_markdown(actions))


def compile_cold(
    made: Scratch, modules: Sequence[str], progress: Callable[[str], None]
) -> list[Action]:
    """Build modules with the empty Go cache of a scratch workspace; return what go did.

    Raises Failure if Go has no action graph, or if the build fails.
    """
    settings = made.settings
    made.doit("generated", *(f"sources:{module}" for module in modules))
    go = load_tool(settings, "go").version
    if not action_graph.is_known(go):
        raise Failure(f"Go {go} has no action graph", "use Kubernetes 1.13 or newer")
    out, actions = settings.paths.home / "out", list[Action]()
    total = sources.package_count(settings, modules)
    for module in modules:
        digests = settings.paths.sources(module).read_text()
        recipe = recipes.recipe_for(settings, made.checkout, module, digests)
        out.mkdir(exist_ok=True)
        graph = out / "actions.json"
        options = action_graph.arguments(graph)
        command = go_build.command_for(settings, [module], recipe, out, options)
        output: list[str] = []

        def on_line(text: str, module: str = module, output: list[str] = output) -> None:
            output.append(text)
            progress(f"{module}: {len(output)} of at most {total} packages compiled")

        if follow(*command.argv, on_line=on_line, cwd=command.folder, env=command.env):
            tail = "\n".join(f"  | {text}" for text in output[-20:])
            raise Failure(f"go could not build {module}\n{tail}", f"run: doit build:{module}")
        actions += action_graph.load(graph)
    return actions


def slowest(actions: Sequence[Action]) -> list[Action]:
    """Return the COUNT packages that took the most time to compile, the slowest first."""
    compiled = [action for action in actions if action.mode == "build"]
    return sorted(compiled, key=lambda action: -action.wall)[:COUNT]


def as_json(actions: Sequence[Action]) -> str:
    """Return the slowest packages as a JSON document."""
    found = slowest(actions)
    return json.dumps([asdict(action) | {"wall": action.wall} for action in found], indent=1)


def as_markdown(actions: Sequence[Action]) -> str:
    """Return the slowest packages as a Markdown table, below a line with the total."""
    compiled = [action for action in actions if action.mode == "build"]
    links = [action for action in actions if action.mode == "link"]
    lines = [
        f"{len(compiled)} packages: {sum(action.processor for action in compiled):.0f} s of"
        f" processor; {len(links)} links: {sum(action.processor for action in links):.0f} s",
        "",
        "| package | wall | processor |",
        "| --- | --- | --- |",
    ]
    for action in slowest(actions):
        lines.append(f"| {action.package} | {action.wall:.1f} s | {action.processor:.1f} s |")
    return "\n".join(lines)
