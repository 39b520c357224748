"""Tasks bench:pipeline, bench:packages, bench:COMPONENT: where the time of the pipeline goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.bench import names, swap_stall
from tasks.cli.task import ANSWER, DOCUMENT, OUTPUT, action, option
from tasks.settings.load import Settings


@action
def measure_pipeline(settings: Settings, selected: str, runs: int, output: str) -> None:
    """Measure rows of the pipeline and print them with their targets."""
    from tasks.bench import pipeline  # noqa: PLC0415 - `doit list` stays fast

    pipeline.run(settings, selected, runs, output)


@action
def slow_packages(settings: Settings, module: str, output: str) -> None:
    """Build with an empty Go cache and print the packages that took the most time to compile."""
    from tasks.bench import packages  # noqa: PLC0415 - `doit list` stays fast

    packages.run(settings, module, output)


def task_bench(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the benchmarks of the pipeline, of the packages, and one per debugged component."""
    yield {"name": None, "doc": "measure where the time goes; nothing is changed"}
    yield {
        "name": "pipeline",
        "doc": "measure the pipeline next to bare go build, with a target for each figure",
        "actions": [(measure_pipeline, [settings])],
        "uptodate": [False],
        "params": [
            option(
                "rows",
                f"rows to measure, separated by commas, or all: {', '.join(names.SHORT)};"
                f" only when named: {', '.join(names.LONG)}",
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
