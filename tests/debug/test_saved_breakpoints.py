"""The way back, whatever a client of Delve did before: attached, gone, dead, halted, forgotten."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tasks import delve
from tasks.components import registry
from tasks.debug import journal, swap
from tasks.kubernetes.tool_record import load_tool
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system import ports, process
from tests.support import toycluster
from tests.support.dap import Dap
from tests.support.stops import wait_stop
from tests.support.toyswap import current, debugger, enter, goes_on

BOUND = 60.0
"""Seconds undebug may take in the worst case: every rung of the ladder, then a new start."""


def address(chosen: Settings) -> str:
    swapped = swap.load(chosen, "toy")
    assert swapped is not None
    return swapped.listen


def dap_stays(chosen: Settings, stack: ExitStack) -> None:
    client = Dap(address(chosen))
    stack.callback(client.close)
    client.attach()


def dap_is_held_at_a_breakpoint(chosen: Settings, stack: ExitStack) -> None:
    client = Dap(address(chosen))
    stack.callback(client.close)
    client.attach("main.work")
    client.event("stopped")


def dap_dies_and_its_breakpoint_is_hit(chosen: Settings, stack: ExitStack) -> None:
    client = Dap(address(chosen))
    client.attach("main.work")
    client.close()
    wait_until(chosen, lambda: "in main.work" in toycluster.describe(chosen))


def dap_halts_and_disconnects(chosen: Settings, stack: ExitStack) -> None:
    client = Dap(address(chosen))
    client.attach()
    client.request("pause", threadId=1)
    client.event("stopped")
    client.send("disconnect", terminateDebuggee=False)
    wait_paused(chosen)
    client.close()


def rpc_waits_in_continue(chosen: Settings, stack: ExitStack) -> None:
    client = stack.enter_context(delve.Delve(address(chosen)))
    client.halt()
    client.resume()


def rpc_halts_and_dies(chosen: Settings, stack: ExitStack) -> None:
    with delve.Delve(address(chosen)) as client:
        client.halt()
        client.break_at(function="main.work")


def terminal_is_killed(chosen: Settings, stack: ExitStack) -> None:
    dlv = load_tool(chosen, "delve").bin
    terminal = subprocess.Popen(
        [dlv, "connect", address(chosen)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_paused(chosen)
    terminal.kill()
    terminal.communicate()


CLIENTS: tuple[Callable[[Settings, ExitStack], None], ...] = (
    dap_stays,
    dap_is_held_at_a_breakpoint,
    dap_dies_and_its_breakpoint_is_hit,
    dap_halts_and_disconnects,
    rpc_waits_in_continue,
    rpc_halts_and_dies,
    terminal_is_killed,
)


def wait_paused(chosen: Settings) -> None:
    wait_until(chosen, lambda: toycluster.is_paused(chosen))


def wait_until(chosen: Settings, holds: Callable[[], bool]) -> None:
    assert process.until(holds, current(chosen).identity.alive, 60.0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.mark.parametrize("mode", ["attach", "exec"])
@pytest.mark.parametrize("behave", CLIENTS, ids=lambda one: one.__name__)
def test_undebug_comes_back_in_bounded_time(
    chosen: Settings,
    running: process.Record,
    stack: ExitStack,
    mode: str,
    behave: Callable[[Settings, ExitStack], None],
) -> None:
    enter(chosen, mode)
    behave(chosen, stack)
    held = debugger(chosen)
    started = time.monotonic()
    left = swap.leave(chosen, "toy")
    assert time.monotonic() - started < BOUND
    assert left is not None and left.argv == running.argv
    assert not held.alive()
    assert goes_on(chosen)
    assert delve.tracer(current(chosen).identity.pid) == 0
    assert ports.owner(registry.debug_port(chosen, "toy")) is None
    assert current(chosen).mode == "normal"


@pytest.mark.parametrize("mode", ["attach", "exec"])
def test_resume_ends_a_forgotten_pause(
    chosen: Settings, running: process.Record, stack: ExitStack, mode: str
) -> None:
    enter(chosen, mode)
    assert not swap.resume(chosen, "toy"), "it runs"
    dap_dies_and_its_breakpoint_is_hit(chosen, stack)
    assert "paused at" in toycluster.describe(chosen)
    assert "in main.work" in toycluster.describe(chosen)
    assert swap.resume(chosen, "toy")
    assert goes_on(chosen), "no breakpoint is left"
    assert "running" in toycluster.describe(chosen)


def test_waiting_for_a_client_holds_the_component(
    chosen: Settings, running: process.Record
) -> None:
    wanted = swap.request(chosen, "toy", "debug-attach", hold=True)
    toycluster.enter(chosen, wanted)
    assert toycluster.is_paused(chosen)
    assert swap.resume(chosen, "toy")
    assert goes_on(chosen)


def test_stop_at_entry_stands_before_main(chosen: Settings, running: process.Record) -> None:
    wanted = swap.request(chosen, "toy", "debug-exec", hold=True)
    toycluster.enter(chosen, wanted)
    assert not ports.healthy(processes.desired_component(chosen, "toy").health, timeout=0.5)
    with delve.Delve(address(chosen)) as client:
        client.break_at(function="main.main")
        client.resume()
        assert wait_stop(client, 10).function == "main.main"
    assert swap.resume(chosen, "toy")
    identity = current(chosen).identity
    health = processes.desired_component(chosen, "toy").health
    assert process.until(lambda: ports.healthy(health), identity.alive, 60.0)


def test_the_journal_tells_how_long_a_component_stands(
    chosen: Settings, running: process.Record
) -> None:
    enter(chosen, "attach")
    began = time.monotonic()
    with delve.Delve(address(chosen)) as client:
        client.halt()
    first = journal.paused_seconds(running.identity.pid)
    if first is None:
        pytest.skip("this kernel does not tell when a thread ran last")

    def grew() -> bool:
        stands = journal.paused_seconds(running.identity.pid)
        return stands is not None and stands > first

    assert process.until(grew, running.identity.alive, 60.0)
    assert first <= time.monotonic() - began
    assert "for about" in toycluster.describe(chosen)


def test_the_length_of_a_pause_does_not_depend_on_the_cpu(
    chosen: Settings, running: process.Record
) -> None:
    enter(chosen, "attach")
    with delve.Delve(address(chosen)) as client:
        client.halt()
    began = time.monotonic()
    allowed = os.sched_getaffinity(0)
    told = []
    try:
        for processor in sorted(allowed):
            os.sched_setaffinity(0, {processor})
            told.append(journal.paused_seconds(running.identity.pid))
            assert os.sched_getaffinity(0) == {processor}
    finally:
        os.sched_setaffinity(0, allowed)
    known = [seconds for seconds in told if seconds is not None]
    if len(known) < 2:
        pytest.skip("one processor, or a kernel that does not tell when a thread ran last")
    assert max(known) - min(known) <= time.monotonic() - began
