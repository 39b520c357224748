"""The Delve client with a real Delve and a real program; no test sleeps for a fixed time."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tasks import delve
from tasks.delve import Delve, DelveError, DelveTimeoutError
from tests.support.ports import free_port
from tests.support.stops import clients, wait_stop

T = TypeVar("T")
AWKWARD = ["(a|b)", "$HOME", "two  blanks", "", 'it\'s "quoted"', "--x=", "a\tb\n", "é\udcff", "--"]


def eventually(probe: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Poll until the probe returns a true value, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := probe()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)
    return value


def traced(debugger: int) -> psutil.Process:
    """Return the process that Delve started to debug; Delve may have other children."""
    children = psutil.Process(debugger).children()
    return next(child for child in children if delve.tracer(child.pid) == debugger)


@contextmanager
def started(
    argv: Sequence[str], output: Path, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a new session, and stop it after the block."""
    with output.open("wb") as stream:
        process = subprocess.Popen(
            argv,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Toy:
    """A running toy program; `calls` returns (over HTTP) how often it has called work()."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def calls(self, timeout: float = 5.0) -> int | None:
        return healthz(self.port, timeout)

    def goes_on(self, iterations: int = 20) -> bool:
        """Tell whether it lives through some more iterations."""
        before = self.calls() or 0
        eventually(lambda: (self.calls() or 0) >= before + iterations, "more iterations")
        return self.process.poll() is None


def healthz(port: int, timeout: float = 5.0) -> int | None:
    with suppress(OSError):
        url = f"http://127.0.0.1:{port}/healthz"
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return int(answer.read())
    return None


@pytest.fixture
def running(toy: Path, tmp_path: Path) -> Iterator[Toy]:
    port, output = free_port(), tmp_path / "toy.log"
    with started([str(toy), f"--port={port}"], output) as process:
        program = Toy(process, port, output)
        eventually(program.calls, "the toy answers")
        yield program


@dataclass(frozen=True)
class Debugger:
    """A Delve process and where it listens."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connect(self, seconds: float = 30.0) -> Delve:
        alive = lambda: self.process.poll() is None  # noqa: E731
        return delve.wait_ready(self.address, seconds, alive, self.output.read_text)


@pytest.fixture
def debugger_env(tmp_path: Path) -> dict[str, str]:
    """Return an environment: Delve writes only to the test's folder and starts no monitor."""
    telemetry = tmp_path / "config" / "go" / "telemetry" / "mode"
    telemetry.parent.mkdir(parents=True)
    telemetry.write_text("off")
    return {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def attached(
    dlv: Path, running: Toy, tmp_path: Path, debugger_env: dict[str, str]
) -> Iterator[Debugger]:
    port, output = free_port(), tmp_path / "dlv.out"
    listen = f"127.0.0.1:{port}"
    argv = delve.attach_argv(dlv, running.pid, listen=listen, log=tmp_path / "dlv.log")
    with started(argv, output, env=debugger_env) as process:
        yield Debugger(process, port, output)


@pytest.fixture
def client(attached: Debugger) -> Iterator[Delve]:
    """Return a client of a Delve that is attached to the running toy."""
    with attached.connect() as connection:
        connection.wait_running(10)
        yield connection


def test_attach_break_read_continue_detach(
    running: Toy, attached: Debugger, client: Delve, toy: Path
) -> None:
    assert delve.tracer(running.pid) == attached.process.pid
    assert running.goes_on(3)

    with client.halted():
        point = client.break_at(function="main.work")
        assert client.breakpoints() == (point,)
    stop = wait_stop(client, 10)

    assert stop.breakpoint is not None
    assert stop.breakpoint.id == point.id
    assert (stop.function, stop.file, stop.line) == ("main.work", point.file, point.line)
    assert stop.goroutine is not None
    number, name = client.arguments()
    assert (number.name, number.type) == ("n", "int")
    assert (name.name, name.type, name.value) == ("name", "string", '"toy"')
    assert [frame.function for frame in client.stack(2)] == ["main.work", "main.main"]
    assert not client.stack(1)[0].optimized
    port = {item.name: item for item in client.locals(frame=1)}["port"]
    assert (port.type, port.value) == ("*int", f"&{running.port}")
    assert client.functions(r"^main\.work$") == ("main.work",)
    assert client.source_files("toy/main.go$") == (point.file,)

    client.resume()
    wait_stop(client, 10)
    assert int(client.arguments()[0].value) == int(number.value) + 1

    client.clear_all()
    assert client.breakpoints() == ()
    client.detach()
    assert attached.process.wait(10) == 0
    assert delve.tracer(running.pid) == 0
    assert running.goes_on()
    assert_text_untouched(running.pid, toy)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(5) == 0
    assert running.output.read_text().endswith("bye\n")


def assert_text_untouched(pid: int, binary: Path) -> None:
    """Assert that no breakpoint instruction is left: the code in memory equals the file."""
    mapping = next(
        line.split()
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        if "r-xp" in line
    )
    begin, end = (int(address, 16) for address in mapping[0].split("-"))
    offset = int(mapping[2], 16)
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(begin)
        code = b""
        while len(code) < end - begin:
            code += memory.read(end - begin - len(code))
    # The mapping ends at a page boundary, the code in the file may end before it.
    original = binary.read_bytes()[offset : offset + len(code)]
    assert code[: len(original)] == original


def test_a_terminated_delve_resumes_a_paused_program(
    running: Toy, attached: Debugger, client: Delve
) -> None:
    with client.halted():
        client.break_at(function="main.work")
    wait_stop(client, 10)
    client.close()
    assert delve.paused(running.pid)

    attached.process.send_signal(signal.SIGTERM)

    assert attached.process.wait(10) == 0
    assert delve.tracer(running.pid) == 0
    assert running.goes_on()


def test_a_breakpoint_with_a_condition_by_file_and_line(client: Delve) -> None:
    with client.halted():
        first = client.break_at(function="main.work")
        client.clear(first.id)
        point = client.break_at(file=first.file, line=first.line, condition="n%7 == 0")
        assert point.condition == "n%7 == 0"
        with pytest.raises(DelveError, match="Breakpoint exists"):
            client.break_at(file=first.file, line=first.line)
        with pytest.raises(DelveError, match=r"could not find function main\.nope"):
            client.break_at(function="main.nope")
    wait_stop(client, 10)
    assert int(client.arguments()[0].value) % 7 == 0


def test_a_request_that_needs_a_paused_program_fails_at_once(running: Toy, client: Delve) -> None:
    with pytest.raises(DelveError, match="program runs"):
        client.break_at(function="main.work")
    with pytest.raises(DelveError, match="program runs"):
        client.detach()
    assert client.state().running
    assert running.goes_on(1)


def test_halted_leaves_a_paused_program_paused(running: Toy, client: Delve) -> None:
    stop = client.halt()
    assert stop.breakpoint is None
    with client.halted():
        assert delve.paused(running.pid)
    assert client.state().stop == stop
    assert delve.paused(running.pid)

    client.resume()
    assert client.state() == delve.State(running=True)
    assert running.goes_on(1)


def test_a_wait_for_a_stop_can_time_out_and_be_repeated(client: Delve) -> None:
    with client.halted():
        client.break_at(function="main.work", condition="n < 0")
    with pytest.raises(DelveTimeoutError):
        wait_stop(client, 0.2)
    with client.halted():
        client.clear_all()
        client.break_at(function="main.work")
    assert wait_stop(client, 10).function == "main.work"


def test_another_client_waits_for_a_stop_too(attached: Debugger, client: Delve) -> None:
    with client.halted():
        client.break_at(function="main.work")
    client.close()
    with Delve(attached.address) as second:
        stop = wait_stop(second, 10)
        assert (stop.function, len(second.arguments())) == ("main.work", 2)


def test_an_exited_program_is_not_reported_as_paused(
    running: Toy, attached: Debugger, client: Delve
) -> None:
    running.process.send_signal(signal.SIGTERM)
    with pytest.raises(DelveError, match="exited with status 0"):
        wait_stop(client, 10)
    assert client.state() == delve.State(exit_status=0)
    with pytest.raises(DelveError, match="exited with status 0"):
        client.halt()
    assert attached.process.poll() is None, "Delve does not exit with its program"


def test_client_count_and_paused_are_read_from_proc(running: Toy, attached: Debugger) -> None:
    with attached.connect() as first:
        first.wait_running(10)
        eventually(lambda: clients(attached.port) == 1, "Delve's own client has left")
        assert not delve.paused(running.pid)
        with Delve(attached.address):
            assert clients(attached.port) == 2
        first.halt()
        assert delve.paused(running.pid)
        first.resume()
        eventually(lambda: not delve.paused(running.pid), "it runs again")
    eventually(lambda: clients(attached.port) == 0, "all clients have left")
    assert clients(free_port()) == 0


def test_an_exited_process_is_neither_paused_nor_traced() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert not delve.paused(process.pid)
    assert delve.tracer(process.pid) == 0


def test_exec_passes_arguments_environment_and_folder(
    dlv: Path, toy: Path, tmp_path: Path, debugger_env: dict[str, str]
) -> None:
    port, folder = free_port(), tmp_path / "a folder (with $signs)"
    folder.mkdir()
    args = [f"--port={port}", *AWKWARD]
    env = {"EMPTY": "", "ODD": "a=b $HOME", "PWD": str(folder)}
    env["XDG_CONFIG_HOME"] = debugger_env["XDG_CONFIG_HOME"]
    debugger_port, log = free_port(), tmp_path / "dlv.log"
    argv = delve.exec_argv(dlv, toy, args, listen=f"127.0.0.1:{debugger_port}", log=log, cwd=folder)
    with started(argv, tmp_path / "toy.log", env=env) as process:
        debugger = Debugger(process, debugger_port, tmp_path / "toy.log")
        with debugger.connect() as client:
            client.wait_running(10)
            eventually(lambda: healthz(port), "the toy answers")
            child = traced(process.pid)
            proc = Path(f"/proc/{child.pid}")
            assert (proc / "cmdline").read_bytes().split(b"\0")[:-1] == [
                os.fsencode(word) for word in [str(toy), *args]
            ]
            assert (proc / "cwd").readlink() == folder
            environ = dict(
                line.split(b"=", 1) for line in (proc / "environ").read_bytes().split(b"\0")[:-1]
            )
            assert environ == {
                **{os.fsencode(key): os.fsencode(value) for key, value in env.items()},
                b"CGO_CFLAGS": b"-O0 -g",
            }
            child.terminate()
            with pytest.raises(DelveError, match="exited with status 0"):
                wait_stop(client, 10)
    assert "bye" in debugger.output.read_text()
    assert "API server listening" in log.read_text()
    assert "API server listening" not in debugger.output.read_text()


def test_exec_can_pause_a_program_before_main(
    dlv: Path, toy: Path, tmp_path: Path, debugger_env: dict[str, str]
) -> None:
    debugger_port, output = free_port(), tmp_path / "toy.log"
    argv = delve.exec_argv(
        dlv,
        toy,
        [],
        listen=f"127.0.0.1:{debugger_port}",
        log=tmp_path / "dlv.log",
        cwd=tmp_path,
        stop_at_entry=True,
        check_go_version=False,
    )
    with started(argv, output, env=debugger_env) as process:
        with Debugger(process, debugger_port, output).connect() as client:
            assert not client.state().running
            child = traced(process.pid)
            assert delve.paused(child.pid)
            client.break_at(function="main.main")
            client.resume()
            assert wait_stop(client, 10).function == "main.main"
            client.detach(kill=True)
        assert process.wait(10) == 0
    assert not child.is_running()


def test_a_delve_that_exits_is_reported_with_its_output(
    dlv: Path, tmp_path: Path, debugger_env: dict[str, str]
) -> None:
    with subprocess.Popen(["true"]) as exited:
        exited.wait()
    port, output = free_port(), tmp_path / "dlv.out"
    argv = delve.attach_argv(dlv, exited.pid, listen=f"127.0.0.1:{port}", log=tmp_path / "dlv.log")
    begin = time.monotonic()
    with (
        started(argv, output, env=debugger_env) as process,
        pytest.raises(DelveError, match=rf"exited .*could not attach to pid {exited.pid}: no such"),
    ):
        Debugger(process, port, output).connect(60)
    assert time.monotonic() - begin < 50


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_listening_delve_is_not_ready_yet(silent: str) -> None:
    with pytest.raises(DelveTimeoutError, match=r"0\.3 s"):
        delve.wait_ready(silent, 0.3, lambda: True)
    with pytest.raises(DelveError, match=r"exited before .*: it was killed"):
        answers = iter([True, True, False])
        delve.wait_ready(silent, 60, lambda: next(answers, False), lambda: "it was killed\n")


def test_connecting_fails_if_no_process_listens() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(DelveError, match=rf"cannot connect .*{address}"):
        Delve(address)
    with pytest.raises(DelveTimeoutError, match=r"0\.1 s"):
        delve.wait_ready(address, 0.1, lambda: True)


def test_a_delve_that_exits_during_connect_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a reset the socket has no peer: getpeername() fails."""
    connect = socket.create_connection

    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset(address: tuple[str, int], timeout: float) -> socket.socket:
            connection = connect(address, timeout)
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            poll = select.poll()
            poll.register(connection, select.POLLHUP)
            assert poll.poll(10_000), "the reset has arrived"
            connections.append(connection)
            return connection

        connections: list[socket.socket] = []
        monkeypatch.setattr(socket, "create_connection", reset)
        with pytest.raises(DelveError, match=r"cannot connect .* not connected"):
            Delve(f"127.0.0.1:{server.getsockname()[1]}")
        assert [item.fileno() for item in connections] == [-1], "it was closed"


def test_a_call_that_times_out_closes_its_connection(silent: str) -> None:
    with Delve(silent, timeout=0.1) as client:
        with pytest.raises(DelveTimeoutError, match=f"{silent} did not answer"):
            client.call("GetVersion")
        with pytest.raises(DelveError, match=r"GetVersion .* never answered") as caught:
            client.state()
        assert caught.value.hint == "connect again"


def test_a_state_request_without_answer_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.delve.client.STATE_RETRY", 0.05)
    requests: list[str] = []

    def answer() -> None:
        """Serve like a Delve whose program resumed before the first State got the lock."""
        connection, _ = server.accept()
        with connection:
            text = ""
            while more := connection.recv(1024).decode():
                text += more
                while text:
                    request, end = json.JSONDecoder().raw_decode(text)
                    text = text[end:].lstrip()
                    requests.append(request["method"])
                    if len(requests) > 1:
                        result = {"State": {"Running": True, "exited": False}}
                        reply = {"id": request["id"], "result": result, "error": None}
                        connection.sendall(json.dumps(reply).encode() + b"\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        with Delve(f"127.0.0.1:{server.getsockname()[1]}") as client:
            assert client.state().running
            assert client.state().running, "the first reply is late and not used"
        thread.join()
    assert requests == ["RPCServer.State"] * 3


def test_state_is_answered_while_other_clients_halt_and_resume(
    running: Toy, attached: Debugger, client: Delve
) -> None:
    done = threading.Event()

    def count_answers() -> int:
        with Delve(attached.address, timeout=60) as other:
            return sum(1 for _ in iter(done.is_set, True) if other.state().exit_status is None)

    with ThreadPoolExecutor() as pool:
        counts = [pool.submit(count_answers) for _ in range(3)]
        try:
            for _ in range(60):
                client.halt()
                client.resume()
        finally:
            done.set()
        assert all(count.result(60) > 60 for count in counts)
    assert running.goes_on(3)


def test_a_server_that_is_not_delve_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            Delve(f"127.0.0.1:{server.getsockname()[1]}") as client,
            pytest.raises(DelveError, match="not Delve"),
        ):
            client.call("GetVersion")
        thread.join()


def test_command_lines() -> None:
    common = [
        "--headless",
        "--listen=127.0.0.1:39999",
        "--api-version=2",
        "--accept-multiclient",
        "--log-dest=/run/dlv.log",
    ]
    dlv, listen, log = Path("/bin/dlv"), "127.0.0.1:39999", Path("/run/dlv.log")
    assert delve.attach_argv(dlv, 7, listen=listen, log=log) == [
        *("/bin/dlv", "attach", "7"),
        *common,
        "--continue",
    ]
    binary, cwd = Path("/bin/kubelet"), Path("/srv")
    assert delve.exec_argv(dlv, binary, ["--v=2", "--"], listen=listen, log=log, cwd=cwd) == [
        *("/bin/dlv", "exec", "/bin/kubelet"),
        *common,
        "--wd=/srv",
        "--continue",
        "--",
        *("--v=2", "--"),
    ]
    at_entry = delve.exec_argv(
        dlv, binary, [], listen=listen, log=log, cwd=cwd, stop_at_entry=True, check_go_version=False
    )
    assert "--continue" not in at_entry
    assert "--check-go-version=false" in at_entry
