import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.system import ports, process, procfs, signals
from tasks.system.ports import Health

HEADLESS = """
import ctypes, platform, socket, threading
listening = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=listening.accept).start()
print(listening.getsockname()[1], flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""
"""Ends only its first thread, with exit(2); exit_group(2) would end all threads."""
STUBBORN = "import signal as s;s.signal(15, s.SIG_IGN);print('up', flush=True);s.pause()"


@pytest.fixture
def spawned(tmp_path: Path) -> Iterator[list[process.Record]]:
    records: list[process.Record] = []
    yield records
    for record in records:
        signals.stop(record.identity, ((signal.SIGKILL, 60.0),))


def start(tmp_path: Path, *argv: str, name: str = "sleeper") -> process.Record:
    env = process.environment(name, tmp_path, {})
    return process.spawn(
        name, argv, env, cwd=tmp_path, log=tmp_path / f"{name}.log", fingerprint="f"
    )


def test_a_record_comes_back_as_it_was_written(
    tmp_path: Path, spawned: list[process.Record]
) -> None:
    record = start(tmp_path, sys.executable, "-c", "import time; time.sleep(60)", "a (b) $c", "")
    spawned.append(record)
    process.save(tmp_path, record)
    assert process.load(tmp_path, "sleeper") == record
    assert procfs.argv_of(record.identity.pid) == record.argv
    assert (tmp_path / "sleeper.json").stat().st_mode & 0o777 == 0o600


def test_a_foreign_process_with_a_recorded_pid_is_not_signalled(
    tmp_path: Path, spawned: list[process.Record]
) -> None:
    record = start(tmp_path, "sleep", "60")
    spawned.append(record)
    stranger = replace(record.identity, ticks=record.identity.ticks - 1)
    assert not stranger.alive()
    assert signals.stop(stranger)
    assert record.identity.alive()


def test_a_record_of_an_earlier_boot_is_dead(tmp_path: Path, spawned: list[process.Record]) -> None:
    record = start(tmp_path, "sleep", "60")
    spawned.append(record)
    assert not replace(record.identity, boot="another").alive()


def test_a_pid_that_became_another_program_is_not_the_component(
    tmp_path: Path, spawned: list[process.Record]
) -> None:
    record = start(tmp_path, "sleep", "60")
    spawned.append(record)
    assert record.alive()
    assert not replace(record, exe="/usr/bin/other").alive()


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["sleep", "60"])
    identity = procfs.identify(child.pid)
    assert identity is not None
    os.kill(child.pid, signal.SIGKILL)
    assert signals.wait_gone(identity, 60.0)
    assert not identity.alive()
    assert Path(f"/proc/{child.pid}").exists(), "no process has reaped it yet"
    assert signals.stop(identity)
    child.wait()


def test_a_process_without_its_first_thread_still_lives(
    tmp_path: Path, spawned: list[process.Record]
) -> None:
    record = start(tmp_path, sys.executable, "-c", HEADLESS)
    spawned.append(record)
    pid, log = record.identity.pid, Path(record.log)
    stat = Path(f"/proc/{pid}/stat")
    assert process.until(lambda: ") Z " in stat.read_text(), stat.exists, 60.0), log.read_text()
    port = int(log.read_text())
    assert ports.owner(port) is not None
    assert record.identity.alive()
    assert procfs.identify(pid) == record.identity
    assert signals.stop(record.identity)
    assert ports.owner(port) is None
    assert not record.identity.alive()


def test_the_ladder_ends_a_process_that_ignores_sigterm(
    tmp_path: Path, spawned: list[process.Record]
) -> None:
    record = start(tmp_path, sys.executable, "-c", STUBBORN)
    spawned.append(record)
    log = Path(record.log)
    assert process.until(lambda: "up" in log.read_text(), record.identity.alive, 60.0)
    ladder = ((signal.SIGTERM, 0.2), (signal.SIGTERM, 0.2), (signal.SIGKILL, 60.0))
    assert signals.stop(record.identity, ladder)
    assert not record.identity.alive()


def test_processes_without_a_record_are_found_by_their_mark(
    tmp_path: Path, spawned: list[process.Record]
) -> None:
    record = start(tmp_path, "sleep", "60")
    spawned.append(record)
    assert process.marked(process.mark("sleeper", tmp_path)) == [record.identity]
    assert process.marked(process.mark("sleeper", tmp_path / "other")) == []


def test_logs_are_appended(tmp_path: Path) -> None:
    log = tmp_path / "sleeper.log"
    for word, whole in (("first", "first\n"), ("second", "first\nsecond\n")):
        say = f"import signal; print({word!r}, flush=True); signal.pause()"
        record = start(tmp_path, sys.executable, "-c", say)
        assert process.until(lambda: log.read_text() == whole, record.identity.alive, 60.0)  # noqa: B023
        assert signals.stop(record.identity)


def test_a_missing_program_is_a_failure_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="sleeper: /no/such: No such file"):
        start(tmp_path, "/no/such")


def test_waiting_stops_as_soon_as_the_process_exits(tmp_path: Path) -> None:
    record = start(tmp_path, sys.executable, "-c", "print('last words'); raise SystemExit(3)")
    started = time.monotonic()
    assert not process.until(lambda: False, record.identity.alive, 60.0)
    assert time.monotonic() - started < 30
    assert "last words" in process.tail(Path(record.log))


def test_a_path_too_long_for_a_socket_is_refused_with_its_length(tmp_path: Path) -> None:
    fits = Path("/" + "x" * 106)
    with socket.socket(socket.AF_UNIX) as listener, pytest.raises(OSError, match="too long"):
        listener.bind(f"{fits}yy")
    ports.require_short("kubelet", [fits])
    with pytest.raises(Failure, match="2 bytes longer"):
        ports.require_short("kubelet", [Path(f"{fits}yy")])


def test_children_started_while_ending_a_process_end_too(
    tmp_path: Path, spawned: list[process.Record]
) -> None:
    heir = "import signal;print('heir', flush=True);signal.pause()"
    code = (
        "import signal,subprocess,sys\n"
        "def end(*_):\n"
        f"    subprocess.Popen([sys.executable, '-c', {heir!r}], start_new_session=True)\n"
        "    sys.exit()\n"
        "signal.signal(15, end);print('up', flush=True);signal.pause()"
    )
    first = start(tmp_path, sys.executable, "-c", code)
    spawned.append(first)
    log = Path(first.log)
    assert process.until(lambda: "up" in log.read_text(), first.identity.alive, 60.0)
    mark = process.mark("sleeper", tmp_path)
    assert process.stop_marked(mark, signals.LADDER, ())
    assert process.marked(mark) == []


def test_a_busy_port_names_its_owner(tmp_path: Path, spawned: list[process.Record]) -> None:
    serve = (
        "import socket,time;s=socket.socket();s.bind(('127.0.0.1',0));s.listen();"
        "print(s.getsockname()[1],flush=True);time.sleep(60)"
    )
    record = start(tmp_path, sys.executable, "-c", serve)
    spawned.append(record)
    log = Path(record.log)
    assert process.until(lambda: log.read_text().endswith("\n"), record.identity.alive, 60.0)
    port = int(log.read_text())
    with pytest.raises(Failure) as caught:
        ports.require_free("kube-apiserver", [port])
    assert f"port {port} is in use by pid {record.identity.pid}" in caught.value.message
    assert sys.executable in caught.value.message
    assert not ports.healthy(Health(f"http://127.0.0.1:{port}/"), timeout=0.2)
