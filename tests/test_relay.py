"""The relay between two network namespaces; here both are ours, which still takes root."""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import ports, process, relay, sandbox, settings
from tasks.failure import Failure
from tests.toycluster import free_port

RESET = struct.pack("ii", 1, 0)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="entering a namespace needs root")


@pytest.fixture
def echo() -> Iterator[int]:
    """Serve what comes back as it was sent, and end when the sender does."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def port(echo: int) -> Iterator[int]:
    """Return the port of a relay that leads to the echo."""
    port = free_port()
    argv = [sys.executable, relay.__file__, "/proc/self/ns/net"]
    with subprocess.Popen([*argv, f"in:127.0.0.1:{port}:127.0.0.1:{echo}"]) as running:
        assert process.until(
            lambda: ports.owner(port) is not None, lambda: running.poll() is None, 10.0
        )
        yield port
        running.terminate()


def asked(port: int, text: bytes) -> bytes:
    """Send, say that this was all, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@root_only
def test_what_is_sent_after_a_half_close_still_arrives(port: int) -> None:
    text = os.urandom(3_000_000)
    assert asked(port, text) == text


@root_only
def test_connections_that_are_cut_off_harm_no_later_one(port: int) -> None:
    for number in range(5):
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"cut")
            assert client.recv(3) == b"cut"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        assert asked(port, b"next %d" % number) == b"next %d" % number


def chosen(tmp_path: Path, forward: str) -> settings.Settings:
    return settings.load({"STEPKUBE_HOME": str(tmp_path), "STEPKUBE_NODE_FORWARD": forward})


def test_forwarded_ports_lead_to_the_address_of_the_node(tmp_path: Path) -> None:
    mappings = sandbox.mappings(chosen(tmp_path, "30080,8080:30081"))
    assert mappings[-2:] == [
        "in:127.0.0.1:30080:10.99.0.1:30080", "in:127.0.0.1:8080:10.99.0.1:30081",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", ["http", "0", "70000", "1:2:3"])
def test_what_is_no_port_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(Failure, match=r"STEPKUBE_NODE_FORWARD.*is not a port"):
        sandbox.mappings(chosen(tmp_path, wrong))
