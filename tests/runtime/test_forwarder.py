"""The forwarder between two network namespaces; in these tests both are the host's; needs root."""

import contextlib
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.components import forwarding
from tasks.core.errors import Failure
from tasks.runtime import forwarder, port_forwards
from tasks.settings import load
from tasks.system import ports, process, procfs, signals
from tests.support.ports import free_port

RESET = struct.pack("ii", 1, 0)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="entering a namespace needs root")


@pytest.fixture
def echo() -> Iterator[int]:
    """Serve an echo: send back all data, close when the client closes."""
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
    """Yield the port of a forwarder to the echo server."""
    port = free_port()
    argv = [sys.executable, forwarder.__file__, "/proc/self/ns/net"]
    with subprocess.Popen([*argv, f"in:127.0.0.1:{port}:127.0.0.1:{echo}"]) as running:
        assert process.until(
            lambda: ports.owner(port) is not None, lambda: running.poll() is None, 60.0
        )
        yield port
        running.terminate()


def reply_to(port: int, text: bytes) -> bytes:
    """Send `text`, close the sending side, and return the complete reply."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@root_only
def test_data_after_a_half_close_still_arrives(port: int) -> None:
    text = os.urandom(3_000_000)
    assert reply_to(port, text) == text


@root_only
def test_a_reset_connection_does_not_break_a_later_one(port: int) -> None:
    for number in range(5):
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"cut")
            assert client.recv(3) == b"cut"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        assert reply_to(port, b"next %d" % number) == b"next %d" % number


PROXY_CLIENT = """
import http.server, os, subprocess, sys, threading, urllib.request
from tasks.system import ports, process, procfs, signals
forwarder, *urls = sys.argv[1:]
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{self.path} {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
web = http.server.ThreadingHTTPServer(("10.9.9.1", 80), Web)
threading.Thread(target=web.serve_forever, daemon=True).start()
running = subprocess.Popen([sys.executable, forwarder, "/proc/self/ns/net", "proxy:127.0.0.1:3128"])
process.until(lambda: ports.owner(3128) is not None, lambda: running.poll() is None, 60.0)
handler = urllib.request.ProxyHandler({"http": "http://127.0.0.1:3128"})
opener = urllib.request.build_opener(handler)
for url in urls:
    try:
        print(opener.open(url, timeout=60).read().decode())
    except OSError as error:
        print(error.code, error.read().decode())
running.terminate()
"""


@root_only
def test_the_proxy_reaches_the_network_but_not_the_host() -> None:
    network = 'ip link set lo up && ip address add 10.9.9.1/32 dev lo && exec "$@"'
    argv = ["unshare", "--net", "bash", "-c", network, "bash", sys.executable, "-c", PROXY_CLIENT]
    own = ("127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0")
    urls = [f"http://[{name}]/" if ":" in name else f"http://{name}/" for name in own]
    urls = ["http://10.9.9.1/v2/?a=b", "http://10.9.9.1/next", *urls]
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [*argv, forwarder.__file__, *urls],
        cwd=load.ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "/v2/?a=b 10.9.9.1",
        "/next 10.9.9.1",
        *(f"502 {name} is an address of the host itself" for name in own),
    ]


@root_only
def test_the_proxy_of_the_host_is_used_with_its_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        port = free_port()
        where = f"http://me:s%20ecret@127.0.0.1:{upstream.getsockname()[1]}"
        env = {"PATH": os.defpath, "https_proxy": where, "no_proxy": "inside.example.org"}
        argv = [sys.executable, forwarder.__file__, "/proc/self/ns/net", f"proxy:127.0.0.1:{port}"]
        with subprocess.Popen(argv, env=env) as running:
            assert process.until(
                lambda: ports.owner(port) is not None, lambda: running.poll() is None, 60.0
            )
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(b"CONNECT r.example.org:443 HTTP/1.1\r\nHost: r\r\n\r\n")
                upstream.settimeout(10)
                served, _ = upstream.accept()
                with served:
                    request = served.recv(65536)
                    served.sendall(b"HTTP/1.1 200 yes\r\n\r\nhello")
                    served.shutdown(socket.SHUT_WR)
                    answer = b"".join(iter(lambda: client.recv(65536), b""))
            running.terminate()
    assert request == (
        b"CONNECT r.example.org:443 HTTP/1.1\r\n"
        b"Proxy-Authorization: Basic bWU6cyBlY3JldA==\r\nHost: r\r\n\r\n"
    )
    assert answer == b"HTTP/1.1 200 yes\r\n\r\nhello"


def chosen(tmp_path: Path, forward: str) -> load.Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path), "STEPKUBE_NODE_FORWARD": forward})


def test_forwarded_ports_lead_to_the_address_of_the_node(tmp_path: Path) -> None:
    mappings = forwarding.mappings(chosen(tmp_path, "30080,8080:30081"))
    assert mappings[-2:] == [
        "in:127.0.0.1:30080:10.99.0.1:30080",
        "in:127.0.0.1:8080:10.99.0.1:30081",
    ]


@pytest.mark.parametrize("wrong", ["http", "0", "70000", "1:2:3"])
def test_an_invalid_port_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(Failure, match=r"STEPKUBE_NODE_FORWARD.*is not a port"):
        forwarding.mappings(chosen(tmp_path, wrong))


@pytest.mark.parametrize(("mapping", "stays"), [("out:1:2:3", True), ("out:1:2:4", False)])
def test_an_equal_forwarder_of_another_checkout_is_kept(
    tmp_path: Path, mapping: str, stays: bool
) -> None:
    script = tmp_path / "tasks" / "node" / "relay.py"  # the path in an older release
    script.parent.mkdir(parents=True)
    script.write_text("import time\ntime.sleep(600)\n")
    argv = (sys.executable, str(script), f"/proc/{os.getpid()}/ns/net", mapping)
    mark = process.environment(port_forwards.MAIN, tmp_path, {})
    running = process.spawn(
        port_forwards.MAIN, argv, mark, cwd=tmp_path, log=tmp_path / "log", fingerprint=""
    )
    identity = procfs.identify(os.getpid())
    assert identity is not None
    try:
        init = replace(running, identity=identity)
        assert port_forwards._keep(running, init, ["out:1:2:3"]) is stays
        assert running.alive() is stays
    finally:
        signals.stop(running.identity)


def hang(pid: int) -> None:
    """Let a process run on without being able to accept a connection."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0))


@root_only
def test_a_forwarder_that_hangs_is_named_and_started_again(
    tmp_path: Path, echo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = chosen_by(tmp_path)
    monkeypatch.setattr(port_forwards, "ANSWER_LIMIT", 1.0)
    port = free_port()
    mapping = f"in:127.0.0.1:{port}:127.0.0.1:{echo}"
    init = process.spawn(
        "init", ["sleep", "600"], {}, cwd=tmp_path, log=tmp_path / "log", fingerprint=""
    )
    name = port_forwards.forwarder_name("kubelet")
    started = [port_forwards.start_forwarder(chosen, init, name, [mapping])]
    try:
        assert port_forwards._problem(started[0]) == ""
        assert port_forwards._keep(started[0], init, [mapping])
        assert reply_to(port, b"before") == b"before"
        hang(started[0].identity.pid)
        assert port_forwards._problem(started[0]) == "hangs"
        assert started[0].alive() and not procfs.is_stopped(started[0].identity.pid)
        assert not port_forwards._keep(started[0], init, [mapping]), "it is replaced"
        started.append(port_forwards.start_forwarder(chosen, init, name, [mapping]))
        assert port_forwards._problem(started[1]) == ""
        assert reply_to(port, b"after") == b"after"
        process.save(chosen.paths.run, started[1])
        port_forwards.close_ports(chosen, "kubelet")
        assert not started[1].alive()
        assert not list(chosen.paths.run.glob(f"{name}.*")), "no file of it is left"
    finally:
        for record in (*started, init):
            signals.stop(record.identity)


@root_only
def test_a_forwarder_of_an_earlier_release_is_taken_to_work(tmp_path: Path) -> None:
    record = process.spawn(
        "x", ["sleep", "600"], {}, cwd=tmp_path, log=tmp_path / "log", fingerprint=""
    )
    try:
        assert port_forwards._problem(record) == ""
    finally:
        signals.stop(record.identity)


def chosen_by(tmp_path: Path) -> load.Settings:
    """Return settings whose socket paths are longer than a socket's path may be."""
    return load.load({"STEPKUBE_HOME": str(tmp_path / ("deep-" * 12) / ("er" * 20))})
