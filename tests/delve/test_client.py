"""The client with a real Delve and a real program."""

from __future__ import annotations

import json
import select
import signal
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks import delve
from tasks.delve import Delve, DelveError, DelveTimeoutError
from tests.support.debugged import Debugger, Toy
from tests.support.stops import wait_stop


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
