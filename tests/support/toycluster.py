"""A workspace whose only component is the toy; also a program that dies at a chosen step of a swap.

Usage of the program: python -m tests.support.toycluster HOME BASE_PORT PORT VERB VICTIM STEP
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks import delve
from tasks.components import registry
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.core.errors import Failure
from tasks.debug import journal, swap
from tasks.runtime import accepted_flags, processes
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.system import files, process, signals
from tasks.system.ports import Health

ODD = ("a (b) $c", "", "--x=", "'\"", "/127.0.0.1(:[0-9]+)?$")


def load(home: Path, base: int) -> Settings:
    return settings.load({"STEPKUBE_HOME": str(home), "STEPKUBE_DEBUG_BASE_PORT": str(base)})


def write(made: Settings, toy: Path, dlv: Path, go_version: str) -> None:
    """Write the records that the earlier stages would leave."""
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    files.write_json(made.paths.lock, {**lock, "tree": "/", "version": "v1.20.2"})
    record = {"module": "toy", "path": str(toy), "digest": "", "go": go_version, "version": ""}
    files.write_json(made.paths.built("toy"), record)
    write_delve(made, dlv)


def write_delve(made: Settings, dlv: Path) -> None:
    tool = {"version": "1.27.2", "bin": str(dlv), "from": "", "min_go": "1.25", "max_go": "1.27"}
    files.write_json(made.paths.tool("delve"), tool)


def spec(port: int) -> Spec:
    """Return the toy as a component."""

    def build(context: Context) -> Component:
        argv = (str(context.binary), f"--port={port}", *ODD)
        health = Health(f"http://127.0.0.1:{port}/healthz")
        return Component("toy", argv, health, env={"ODD": "a b$"}, ports=(port,))

    known = registry.COMPONENTS["kube-scheduler"]
    return replace(
        known, name="toy", program=Program("module", "toy"), after=(), build=build, debug_offset=0
    )


def accept(settings: Settings, component: Component) -> Component:
    """Stand in for with_accepted_flags: the toy reads its odd arguments as it gets them."""
    return component


def enter(made: Settings, wanted: journal.Swap) -> process.Record:
    return swap.enter(made, swap.require_running(made, "toy"), wanted)


def describe(made: Settings) -> str:
    record = process.load(made.paths.run, "toy")
    return journal.describe("toy", record, journal.load(made, "toy"))


def is_paused(made: Settings) -> bool:
    return journal.is_paused(process.load(made.paths.run, "toy"))


class Dying:
    """Counts the effects of a swap and kills the victim just before, or after, one of them."""

    def __init__(self, made: Settings, victim: str, step: int) -> None:
        self.made, self.victim, self.step = made, victim, step
        self.count = itertools.count(1)

    def watch(self, owner: Any, name: str) -> None:
        """Count the calls of one function."""
        original: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **named: Any) -> Any:
            self.tick()
            result = original(*args, **named)
            self.tick()
            return result

        setattr(owner, name, watched)

    def tick(self) -> None:
        if next(self.count) != self.step:
            return
        if self.victim == "tool":
            os.kill(os.getpid(), signal.SIGKILL)
        instance, swapped = self.made.paths.instance, journal.load(self.made, "toy")
        victims = process.marked(process.mark("toy", instance))
        debuggers = journal.debuggers(self.made, "toy", swapped) if swapped else []
        if self.victim == "debugger":
            victims = debuggers
        for one in victims:
            if self.victim == "debugger" or one not in debuggers:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
                signals.wait_gone(one, 60.0)


def main(words: list[str]) -> int:
    home, base, port, verb, victim, step = words
    made = load(Path(home), int(base))
    registry.COMPONENTS["toy"] = spec(int(port))
    accepted_flags.with_accepted_flags = accept
    dying = Dying(made, victim, int(step))
    for owner, name in (
        (journal, "write"),
        (journal, "remove"),
        (process, "spawn"),
        (signals, "stop"),
        (process, "save"),
        (delve, "wait_ready"),
        (delve.Delve, "detach"),
        (processes, "wait_ready"),
    ):
        dying.watch(owner, name)
    try:
        if verb == "leave":
            swap.leave(made, "toy")
        else:
            enter(made, swap.request(made, "toy", swap.as_mode(verb)))
    except Failure as failure:
        sys.stdout.write(f"failure: {failure}\n")
    return 0 if next(dying.count) <= dying.step else 7


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
