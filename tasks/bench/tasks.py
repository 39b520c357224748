"""Tasks bench:pipeline, bench:packages, bench:COMPONENT: where the time of the pipeline goes."""

from __future__ import annotations

import difflib
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from tasks.bench import builds, cluster_rows, edits, packages, report, rows, scratch, swap_stall
from tasks.bench.context import Bench
from tasks.bench.report import Figure
from tasks.cli.task import ANSWER, DOCUMENT, OUTPUT, action, option
from tasks.components import registry
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tool_record import load_tool
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import memory

Measure = Callable[[Bench], Iterator[Figure]]
SHORT: Mapping[str, Measure] = {
    "look": rows.look,
    "idle": rows.idle,
    "edit": rows.edit,
    "comments": rows.comments,
    "branch": rows.branch,
}
"""Rows that are measured by default: a few minutes."""
LONG: Mapping[str, Measure] = {
    "edit-all": rows.edit_all,
    "serve": cluster_rows.serve,
    "start": cluster_rows.start,
    "attach": cluster_rows.attach,
    "growth": rows.growth,
    "make": rows.make,
    "cold": rows.cold,
}
"""Rows that are measured only when they are named."""
ROWS = {**SHORT, **LONG}


@action
def pipeline(settings: Settings, selected: str, runs: int, output: str) -> None:
    """Measure rows and print them with their targets. Raises Failure if a row cannot be measured.

    A target that is not reached is not a failure: the figures depend on the machine.
    """
    names, figures, problems = row_names(selected), list[Figure](), list[str]()
    if runs < 1:
        raise Failure(f"--runs: {runs} is too small", "use --runs=1 or more")
    load_checkout(settings.paths.lock)
    edits.undo_leftover(settings)
    with ExitStack() as stack:
        heartbeat = console.Heartbeat(0.0)
        bench = Bench(settings, runs, heartbeat.beat, stack)
        for name in names:
            try:
                figures += ROWS[name](bench)
            except Failure as failure:
                problems.append(f"{name}: {failure}")
    about = _about(settings, runs)
    if output == "json":
        console.say_document(report.as_json(figures, about))
    else:
        console.say(report.as_markdown(figures, about))
    if problems:
        raise Failure("\n".join(["some rows could not be measured:", *problems]))


def row_names(selected: str) -> list[str]:
    """Return the rows of --rows: names separated by commas, `all`, or nothing for the short ones.

    Raises Failure for a name that does not exist.
    """
    if selected in ("", "all"):
        return [*(ROWS if selected else SHORT)]
    names = [name.strip() for name in selected.split(",")]
    for name in names:
        if name not in ROWS:
            near = difflib.get_close_matches(name, ROWS, n=1)
            fix = f"did you mean {near[0]}?" if near else f"use: {', '.join(ROWS)}, or all"
            raise Failure(f"--rows: there is no row named {name!r}", fix)
    return [name for name in ROWS if name in names]


def _about(settings: Settings, runs: int) -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "kubernetes": load_checkout(settings.paths.lock).version,
        "go": load_tool(settings, "go").version,
        "python": platform.python_version(),
        "cores": memory.cores(),
        "memory GiB": round(memory.total(), 1),
        "runs": runs,
        "load": round(os.getloadavg()[0], 1),
    }


@action
def slow_packages(settings: Settings, module: str, output: str) -> None:
    """Build with an empty Go cache and print the packages that took the most time to compile."""
    known = registry.modules()
    if module and module not in known:
        raise Failure(
            f"--module: there is no module named {module!r}", f"use one of: {', '.join(known)}"
        )
    heartbeat = console.Heartbeat()
    with scratch.workspace(settings, name="cold", cold=True) as made:
        modules = [module] if module else builds.all_modules(made)
        actions = packages.compile_cold(made, modules, heartbeat.beat)
    if output == "json":
        console.say_document(packages.as_json(actions))
    else:
        console.say(packages.as_markdown(actions))


def task_bench(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the benchmarks of the pipeline, of the packages, and one per debugged component."""
    yield {"name": None, "doc": "measure where the time goes; nothing is changed"}
    yield {
        "name": "pipeline",
        "doc": "measure the pipeline next to bare go build, with a target for each figure",
        "actions": [(pipeline, [settings])],
        "uptodate": [False],
        "params": [
            option(
                "rows",
                f"rows to measure, separated by commas, or all: {', '.join(SHORT)};"
                f" only when named: {', '.join(LONG)}",
                "",
                name="selected",
            ),
            option("runs", "number of runs of each figure, taken in turn", 5),
            OUTPUT,
        ],
        "meta": ANSWER | DOCUMENT,
    }
    yield {
        "name": "packages",
        "doc": "build with an empty Go cache and print the ten slowest packages",
        "actions": [(slow_packages, [settings])],
        "uptodate": [False],
        "params": [option("module", "build only this module", ""), OUTPUT],
        "meta": ANSWER | DOCUMENT,
    }
    yield from swap_stall.component_tasks(settings)
