"""A process may exit at any moment: between two reads of /proc, and during one."""

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

QUERIES: dict[str, Callable[[int], object]] = {
    "alive": lambda pid: procfs.Identity(procfs.boot_id(), pid, TICKS[pid]).alive(),
    "identify": procfs.identify,
    "executable": procfs.executable,
    "argv": procfs.argv_of,
    "environment": procfs.environ_of,
    "children": procfs.children,
    "trapped": client._sigtrap_pending,
    "paused": commands.paused,
    "tracer": commands.tracer,
    "standing": journal.paused_seconds,
    "marked": lambda pid: process.marked(f"never:{pid}"),
}
TICKS: dict[int, int] = {}


class Ending:
    """Kills and reaps a child just before this process opens or lists the child's n-th file.

    Python calls an audit hook at every such call. A hook cannot be removed, so there is only one.
    """

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.left = 0
        sys.addaudithook(self.on_event)

    def on_event(self, event: str, args: tuple[object, ...]) -> None:
        if self.child is None or event not in ("open", "os.listdir", "os.scandir"):
            return
        if isinstance(args[0], str | os.PathLike):
            path = os.fspath(args[0])
            self.left -= str(path).startswith(f"/proc/{self.child.pid}/")
        if not self.left:
            child, self.child = self.child, None
            child.kill()
            child.wait()

    def run(self, query: Callable[[int], object], step: int, zombie: bool) -> bool:
        """Run a query; kill its process before a step. False when it has fewer steps."""
        child = subprocess.Popen(["sleep", "60"])
        current = procfs.stat(Path(f"/proc/{child.pid}"))
        assert current is not None
        TICKS[child.pid] = current.ticks
        if zombie:
            child.send_signal(signal.SIGKILL)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.child, self.left = child, step
        try:
            query(child.pid)
            return self.child is None
        finally:
            self.child = None
            child.kill()
            child.wait()


@pytest.fixture(scope="module")
def ending() -> Ending:
    return Ending()


@pytest.mark.parametrize("zombie", [False, True], ids=["running", "zombie"])
@pytest.mark.parametrize("name", QUERIES)
def test_a_process_may_exit_at_every_step_of_a_query(
    ending: Ending, name: str, zombie: bool
) -> None:
    for step in itertools.count(1):
        if not ending.run(QUERIES[name], step, zombie):
            break
    assert step > 1 or name == "executable", "the query reads nothing of the process"


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_of_a_process_that_is_gone_returns_nothing(name: str) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    TICKS[child.pid] = 0
    assert not QUERIES[name](child.pid)
