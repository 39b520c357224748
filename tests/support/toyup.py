"""A doit with start:toy and down of one gated component, for several runs at the same time.

Usage: python -m tests.support.toyup HOME BASE_PORT PORT FIFO WORD...
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from tasks.check import tasks as check
from tasks.cli import interrupts, task_names
from tasks.cli.reporter import Reporter
from tasks.cluster import tasks as cluster
from tasks.components import registry
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.runtime import accepted_flags
from tasks.system import lock_wait
from tasks.system.ports import Health
from tests.support import gated, toycluster


def spec(port: int, fifo: str = "", **more: Any) -> Spec:
    """Return the gated program as a component."""

    def build(_: Context) -> Component:
        argv = (sys.executable, gated.__file__, str(port), fifo)
        health = Health(f"http://127.0.0.1:{port}/healthz")
        return replace(Component("toy", argv, health, ports=(port,)), **more)

    known = registry.COMPONENTS["kube-scheduler"]
    return replace(
        known, name="toy", program=Program("module", "toy"), after=(), build=build, debug_offset=0
    )


def main(home: str, base: str, port: str, fifo: str, *words: str) -> int:
    settings = toycluster.load(Path(home), int(base))
    toy = spec(int(port), fifo)
    registry.COMPONENTS.clear()
    registry.COMPONENTS["toy"] = toy
    accepted_flags.with_accepted_flags = toycluster.accept
    check.require = lambda *_: None
    lock_wait.INTERVAL = 0.05
    interrupts.install()

    def task_start() -> Iterator[dict[str, Any]]:
        for task in task_names.tasks(settings, {"all": (cluster.task_start,)}):
            yield {**task, "task_dep": [], "file_dep": []}

    tasks = {"task_start": task_start, "task_down": lambda: cluster.task_down(settings)}
    state = {"dep_file": f"{home}/doit", "reporter": Reporter, "verbosity": 2}
    loader = ModuleTaskLoader(tasks)
    return int(DoitMain(loader, config_filenames=(), extra_config={"GLOBAL": state}).run([*words]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
