"""A process may end at any moment: between two reads of /proc, and within one."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.debug import journal
from tasks.delve import client, commands
from tasks.system import process, procfs

QUESTIONS: dict[str, Callable[[int], object]] = {
    "alive": lambda pid: procfs.Identity(procfs.boot_id(), pid, TICKS[pid]).alive(),
    "identify": procfs.identify,
    "executable": procfs.executable,
    "argv": procfs.argv_of,
    "environment": procfs.environ_of,
    "children": procfs.children,
    "trapped": client._trapped,
    "paused": commands.paused,
    "tracer": commands.tracer,
    "standing": journal.paused_seconds,
    "marked": lambda pid: process.marked(f"never:{pid}"),
}
TICKS: dict[int, int] = {}


class Ending:
    """Ends a child, and collects it, just before this process opens or lists its n-th file of it.

    Python tells an audit hook of every such call; a hook cannot be removed, so there is one.
    """

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.left = 0
        sys.addaudithook(self.hear)

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        if self.child is None or event not in ("open", "os.listdir", "os.scandir"):
            return
        if isinstance(args[0], str | os.PathLike):
            words = os.fspath(args[0])
            self.left -= str(words).startswith(f"/proc/{self.child.pid}/")
        if not self.left:
            child, self.child = self.child, None
            child.kill()
            child.wait()

    def ask(self, question: Callable[[int], object], step: int, zombie: bool) -> bool:
        """Put a question of which a step finds no process any more; False when none is left."""
        child = subprocess.Popen(["sleep", "60"])
        known = procfs.stat(Path(f"/proc/{child.pid}"))
        assert known is not None
        TICKS[child.pid] = known.ticks
        if zombie:
            child.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.child, self.left = child, step
        try:
            question(child.pid)
            return self.child is None
        finally:
            self.child = None
            child.kill()
            child.wait()


@pytest.fixture(scope="module")
def ending() -> Ending:
    return Ending()


@pytest.mark.parametrize("zombie", [False, True], ids=["running", "zombie"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_process_may_end_at_every_step_of_a_question(
    ending: Ending, name: str, zombie: bool
) -> None:
    for step in itertools.count(1):
        if not ending.ask(QUESTIONS[name], step, zombie):
            break
    assert step > 1 or name == "executable", "the question reads nothing of the process"


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_process_that_is_gone_has_nothing_to_tell(name: str) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    TICKS[child.pid] = 0
    assert not QUESTIONS[name](child.pid)
