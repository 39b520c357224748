"""The debug swap on a small real program, with a real Delve: in, out, and every way to break it."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import delve
from tasks.components import registry
from tasks.core.errors import Failure
from tasks.debug import swap
from tasks.runtime import processes
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files, ports, process, procfs, signals
from tests.support import toycluster
from tests.support.stops import wait_stop
from tests.support.toyswap import current, debugger, enter, goes_on


def set_breakpoint(chosen: Settings) -> None:
    journal = swap.load(chosen, "toy")
    assert journal is not None
    with delve.Delve(journal.listen) as client:
        client.halt()
        client.break_at(function="main.work")
        client.resume()
        assert wait_stop(client, 10).function == "main.work"


def test_attach_keeps_the_process_and_undebug_gives_it_back(
    chosen: Settings, running: process.Record
) -> None:
    entered = enter(chosen, "attach")
    assert entered.identity == running.identity
    assert current(chosen).mode == "debug-attach"
    assert "running" in toycluster.describe(chosen)
    set_breakpoint(chosen)
    assert toycluster.is_paused(chosen)
    assert "in main.work" in toycluster.describe(chosen)
    left = swap.leave(chosen, "toy")
    assert left is not None and left.identity == running.identity
    assert current(chosen).mode == "normal"
    assert swap.load(chosen, "toy") is None
    assert goes_on(chosen)


def test_exec_starts_the_same_bytes_and_undebug_too(
    chosen: Settings, running: process.Record
) -> None:
    raw = Path(f"/proc/{running.identity.pid}/cmdline").read_bytes()
    entered = enter(chosen, "exec")
    assert Path(f"/proc/{entered.identity.pid}/cmdline").read_bytes() == raw
    assert procfs.environ_of(entered.identity.pid)["ODD"] == "a b$"
    set_breakpoint(chosen)
    left = swap.leave(chosen, "toy")
    assert left is not None and not entered.identity.alive()
    assert Path(f"/proc/{left.identity.pid}/cmdline").read_bytes() == raw
    assert procfs.environ_of(left.identity.pid) == running.env
    assert goes_on(chosen)


@pytest.mark.parametrize("mode", ["attach", "exec"])
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("victim", ["debugger", "component"])
def test_undebug_heals_after_a_kill(
    chosen: Settings, running: process.Record, mode: str, paused: bool, victim: str
) -> None:
    enter(chosen, mode)
    if paused:
        set_breakpoint(chosen)
    killed = debugger(chosen) if victim == "debugger" else current(chosen).identity
    os.kill(killed.pid, signal.SIGKILL)
    assert signals.wait_gone(killed, 60.0)
    if victim == "debugger":
        assert "lost its debugger" in toycluster.describe(chosen)
    left = swap.leave(chosen, "toy")
    assert left is not None and left.argv == running.argv
    assert procfs.argv_of(left.identity.pid) == running.argv
    assert goes_on(chosen)


def test_a_busy_port_is_refused_before_anything_is_touched(
    chosen: Settings, running: process.Record
) -> None:
    wanted = swap.request(chosen, "toy", "debug-exec")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(wanted.listen.rpartition(":")[2])))
        holder.listen()
        with pytest.raises(
            Failure, match=rf"{wanted.listen.rpartition(':')[2]} .*pid {os.getpid()}"
        ):
            toycluster.enter(chosen, wanted)
    assert current(chosen).identity == running.identity
    assert swap.load(chosen, "toy") is None


def test_a_port_of_a_connection_is_refused_before_a_swap(
    chosen: Settings, running: process.Record
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as taken,
    ):
        port = taken.getsockname()[1]
        assert ports.owner(port) is None, "nobody listens on it"
        wanted = replace(swap.request(chosen, "toy", "debug-attach"), listen=f"127.0.0.1:{port}")
        with pytest.raises(Failure, match=rf"port {port} .* of pid {os.getpid()}") as told:
            toycluster.enter(chosen, wanted)
    assert f"ip_local_reserved_ports={port}" in told.value.hint
    assert current(chosen).identity == running.identity
    assert swap.load(chosen, "toy") is None


def test_ports_of_debuggers_are_odd(tmp_path: Path) -> None:
    ports_of = {
        name: {registry.debug_port(made, one) for one in registry.debug_offsets()}
        for name in ("default", "two", "i1", "i2", "i3")
        for made in [load.load({"STEPKUBE_HOME": str(tmp_path), "STEPKUBE_INSTANCE": name})]
    }
    assert all(port % 2 for own in ports_of.values() for port in own)
    assert len(set().union(*ports_of.values())) == 5 * len(registry.debug_offsets()), (
        "no two share one"
    )


@pytest.mark.parametrize(("built_by", "words"), [("1.99.0", r"Delve 1\.27\.2 .*1\.27.*toy.*1\.99")])
def test_a_go_unknown_to_delve_is_refused_before_a_swap(
    chosen: Settings, running: process.Record, built_by: str, words: str
) -> None:
    value = json.loads(chosen.paths.built("toy").read_text())
    files.write_json(chosen.paths.built("toy"), {**value, "go": built_by})
    with pytest.raises(Failure, match=words):
        enter(chosen, "attach")
    assert current(chosen).identity == running.identity


def test_a_stripped_binary_is_refused_before_anything_is_touched(
    chosen: Settings, toy_stripped: Path
) -> None:
    value = json.loads(chosen.paths.built("toy").read_text())
    files.write_json(chosen.paths.built("toy"), {**value, "path": str(toy_stripped)})
    running = processes.start(chosen, processes.desired_component(chosen, "toy"))
    with pytest.raises(Failure, match="debug"):
        enter(chosen, "attach")
    assert current(chosen).identity == running.identity
    assert goes_on(chosen)


def test_a_swap_that_fails_restores_the_component(
    chosen: Settings, running: process.Record, tmp_path: Path
) -> None:
    broken = json.loads(chosen.paths.tool("delve").read_text())
    files.write(tmp_path / "dlv", "#!/bin/sh\necho cannot do this >&2\nexit 1\n", 0o755)
    files.write_json(chosen.paths.tool("delve"), {**broken, "bin": str(tmp_path / "dlv")})
    with pytest.raises(Failure):
        enter(chosen, "exec")
    assert current(chosen).mode == "normal"
    assert procfs.argv_of(current(chosen).identity.pid) == running.argv
    assert goes_on(chosen)
    assert ports.owner(registry.debug_port(chosen, "toy")) is None


@pytest.mark.parametrize("paused", [False, True])
def test_a_full_disk_does_not_keep_a_component_in_the_debugger(
    chosen: Settings, running: process.Record, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    enter(chosen, "attach")
    if paused:
        set_breakpoint(chosen)
    with full_disk(monkeypatch):
        left = swap.leave(chosen, "toy")
    assert left is not None and left.identity == running.identity and left.alive()
    assert not delve.tracer(left.identity.pid)
    assert swap.load(chosen, "toy") is None
    assert goes_on(chosen)


def test_a_restart_that_the_disk_has_no_room_for_changes_nothing(
    chosen: Settings, running: process.Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = enter(chosen, "exec")
    with full_disk(monkeypatch), pytest.raises(Failure, match="full"):
        swap.leave(chosen, "toy")
    assert current(chosen) == inside and inside.alive()
    assert swap.leave(chosen, "toy") is not None
    assert goes_on(chosen)


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(path: Path, *_: object) -> None:
        raise Failure(f"cannot write {path}: the disk is full", "free disk space")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write", refuse)
        yield
