"""A doit with two components that are built from a small tree: sources, build, start and watch.

Usage: python -m tests.support.toywatch HOME INSTANCE TREE PORTS WORD...
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from tasks.build import sources
from tasks.build import tasks as build
from tasks.check import tasks as check
from tasks.cli import database, interrupts, task_names
from tasks.cli.reporter import Reporter
from tasks.cluster import tasks as cluster
from tasks.components import registry
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.runtime import accepted_flags
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system.ports import Health
from tasks.watch import rounds
from tasks.watch import tasks as watch
from tests.support import toycluster

NAMES = ("toy", "other")
TOY = """package main

import (
	"fmt"
	"net/http"
	"os"

	"k8s.io/kubernetes/pkg/shared"
)

func answer(reply http.ResponseWriter, _ *http.Request) {
	text := shared.Name() + " NAME"
	fmt.Fprint(reply, text)
}

func main() {
	http.HandleFunc("/healthz", answer)
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
"""
FILES = {
    "cmd/toy/main.go": TOY.replace("NAME", "toy"),
    "cmd/other/main.go": TOY.replace("NAME", "other"),
    "pkg/shared/shared.go": 'package shared\n\nfunc Name() string { return "shared" }\n',
    "pkg/shared/shared_test.go": "package shared\n",
}


def settings(home: str, instance: str, tree: str) -> Settings:
    return load.load(
        {
            "STEPKUBE_HOME": home,
            "STEPKUBE_INSTANCE": instance,
            "STEPKUBE_ORIGIN_PATH": tree,
        }
    )


def components(ports: str) -> dict[str, Spec]:
    """Return the two components; `ports` has a comma between theirs."""

    def build(context: Context, name: str, port: str) -> Component:
        health = Health(f"http://127.0.0.1:{port}/healthz")
        return Component(name, (str(context.binary), port), health, ports=(int(port),))

    known = registry.COMPONENTS["kube-scheduler"]
    return {
        name: replace(
            known,
            name=name,
            program=Program("module", name),
            after=(),
            build=partial(build, name=name, port=port),
            debug_offset=offset,
        )
        for offset, (name, port) in enumerate(zip(NAMES, ports.split(","), strict=True))
    }


def install(ports: str) -> None:
    """Make the two components the only ones."""
    made = components(ports)
    registry.COMPONENTS.clear()
    registry.COMPONENTS.update(made)
    accepted_flags.with_accepted_flags = toycluster.accept
    check.require = lambda *_: None


def main(home: str, instance: str, tree: str, ports: str, *words: str) -> int:
    chosen = settings(home, instance, tree)
    install(ports)
    interrupts.install()
    database.install()
    arguments = [home, instance, tree, ports]
    rounds.command = lambda: [sys.executable, "-m", "tests.support.toywatch", *arguments]

    def reduced(create: Callable[[Settings], Iterator[dict[str, Any]]]) -> Iterator[Any]:
        for task in task_names.tasks(chosen, {"all": (create,)}):
            needed = task.get("task_dep", ())
            kept = ("sources:", "build:")
            reduced_task = {**task, "task_dep": [name for name in needed if name.startswith(kept)]}
            yield task_names.for_doit(reduced_task)

    tasks = {
        "task_sources": lambda: reduced(sources.task_sources),
        "task_build": lambda: reduced(build.task_build),
        "task_start": lambda: reduced(cluster.task_start),
        "task_watch": lambda: watch.task_watch(chosen),
    }
    state = {
        "dep_file": str(chosen.paths.instance / "doit"),
        "backend": "sqlite3",
        "reporter": Reporter,
        "verbosity": 2,
    }
    loader = ModuleTaskLoader(tasks)
    return int(DoitMain(loader, config_filenames=(), extra_config={"GLOBAL": state}).run([*words]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
