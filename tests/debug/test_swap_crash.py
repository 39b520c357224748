"""A swap cut off at every step, by the death of the tool, of Delve or of the component."""

import itertools
import signal
import subprocess
import sys

import pytest

from tasks.components import registry
from tasks.debug import journal, swap
from tasks.runtime import processes
from tasks.settings.load import ROOT, Settings
from tasks.system import ports, process, procfs
from tests.support import toycluster
from tests.support.toyswap import PORT, current, enter, goes_on

pytestmark = pytest.mark.crash

REACHED = 7
"""Exit code of a run that came to the chosen step and went on without its victim."""


def cut_off(chosen: Settings, verb: str, victim: str, step: int) -> bool:
    """Run a swap whose victim dies at a step; False when there are fewer steps."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.toycluster",
            str(chosen.paths.home),
            str(chosen.debug.base_port),
            str(PORT),
            verb,
            victim,
            str(step),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    expected = {"tool": (-signal.SIGKILL, 0)}.get(victim, (0, REACHED))
    assert done.returncode in expected, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("victim", ["tool", "debugger", "component"])
@pytest.mark.parametrize("verb", ["attach", "exec", "leave-attach", "leave-exec"])
def test_every_step_can_be_healed(
    chosen: Settings, running: process.Record, verb: str, victim: str
) -> None:
    for step in itertools.count(1):
        if verb.startswith("leave"):
            enter(chosen, verb.removeprefix("leave-"))
        reached = cut_off(chosen, verb.partition("-")[0], victim, step)
        record = process.load(chosen.paths.run, "toy")
        assert record is not None
        if journal.load(chosen, "toy") is not None:
            assert journal.mode(journal.load(chosen, "toy")).startswith("debug-")
            assert toycluster.describe(chosen)
        left = swap.leave(chosen, "toy")
        if not record.alive() and left == record:
            break_was_outside_the_swap(chosen)
        assert current(chosen).mode == "normal"
        assert procfs.argv_of(current(chosen).identity.pid) == running.argv
        assert goes_on(chosen)
        assert ports.owner(registry.debug_port(chosen, "toy")) is None
        assert process.marked(process.mark("dlv-toy", chosen.paths.instance)) == []
        alive = process.marked(process.mark("toy", chosen.paths.instance))
        assert alive == [current(chosen).identity]
        if not reached:
            break
    assert step > 5, "a swap has more steps than that"


def break_was_outside_the_swap(chosen: Settings) -> None:
    """Start the component again that died after the swap was over: that is `doit up`'s part."""
    processes.stop(chosen, "toy")
    processes.start(chosen, processes.desired_component(chosen, "toy"))
