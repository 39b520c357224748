"""Work of bench:pipeline: measure rows and print them, with what the figures depend on."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from tasks.bench import cluster_rows, edits, names, report, rows
from tasks.bench.context import Bench
from tasks.bench.report import Figure
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tool_record import load_tool
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import memory

ROWS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "look": rows.look,
    "idle": rows.idle,
    "edit": rows.edit,
    "comments": rows.comments,
    "branch": rows.branch,
    "edit-all": rows.edit_all,
    "serve": cluster_rows.serve,
    "start": cluster_rows.start,
    "attach": cluster_rows.attach,
    "growth": rows.growth,
    "make": rows.make,
    "cold": rows.cold,
}


def run(settings: Settings, selected: str, runs: int, output: str) -> None:
    """Measure rows and print them with their targets. Raises Failure if a row cannot be measured.

    A target that is not reached is not a failure: the figures depend on the machine.
    """
    chosen, figures, problems = names.selected(selected), list[Figure](), list[str]()
    if runs < 1:
        raise Failure(f"--runs: {runs} is too small", "use --runs=1 or more")
    load_checkout(settings.paths.lock)
    edits.undo_leftover(settings)
    with ExitStack() as stack:
        heartbeat = console.Heartbeat(0.0)
        bench = Bench(settings, runs, heartbeat.beat, stack)
        for name in chosen:
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
