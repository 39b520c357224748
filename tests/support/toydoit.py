"""A doit whose only component is the toy, for what only a whole run of doit shows.

Usage: python -m tests.support.toydoit HOME BASE_PORT PORT WORD...
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from tasks.cli import reporter
from tasks.components import registry
from tasks.core import console
from tasks.debug import breakpoints
from tasks.debug import tasks as debug
from tasks.runtime import accepted_flags
from tests.support import toycluster


def main(home: str, base: str, port: str, *words: str) -> int:
    """Run doit with the toy as the only component, and a step before that is loud."""
    registry.COMPONENTS["toy"] = toycluster.spec(int(port))
    accepted_flags.with_accepted_flags = toycluster.accept
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: sys.exit(128 + received))

    def loud() -> Iterator[dict[str, Any]]:
        yield {"name": "delve", "actions": [(console.say, ["noise of an earlier step"])]}

    settings = toycluster.load(Path(home), int(base))

    def cluster_runs() -> dict[str, Any]:
        made = debug.task_debug(settings)
        return next(task for task in made if task.get("basename") == "_cluster-runs")

    tasks = {
        "task_break": lambda: breakpoints.task_break(settings),
        "task_cluster_runs": cluster_runs,
        "task_toolchain": loud,
    }
    state = {"dep_file": f"{home}/doit", "reporter": reporter.Reporter, "verbosity": 2}
    config = {"GLOBAL": state}
    loader = ModuleTaskLoader(tasks)
    return int(DoitMain(loader, config_filenames=(), extra_config=config).run(list(words)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
