"""Health checks of a server that demands a client certificate."""

from __future__ import annotations

import http.server
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.system.ports import Health, healthy, owner
from tests.support.certs import context, load, make
from tests.support.ports import free_port


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(load(tmp_path_factory.mktemp("certs")))


@pytest.fixture
def url(certs: Path) -> Iterator[str]:
    """Serve /health to the clients of etcd's authority, at the returned address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = context(certs, "serving-etcd", "etcd-ca", server=True)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/health"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("stem", "answer"),
    [("client-etcd", True), ("client-admin", False), ("missing", False), ("", False)],
)
def test_a_client_certificate_decides(certs: Path, url: str, stem: str, answer: bool) -> None:
    pair = (certs / f"{stem}.crt", certs / f"{stem}.key") if stem else None
    assert healthy(Health(url, certificate=pair), timeout=10.0) is answer


def test_a_damaged_certificate_is_not_healthy(tmp_path: Path, url: str) -> None:
    (tmp_path / "a.crt").write_text("x")
    pair = (tmp_path / "a.crt", tmp_path / "a.crt")
    assert not healthy(Health(url, certificate=pair), timeout=10.0)


@pytest.mark.parametrize(
    ("family", "host"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0"),
        (socket.AF_INET, "127.0.0.5"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET6, "::"),
    ],
)
def test_the_process_that_listens_is_found(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listening:
        listening.bind((host, 0))
        port = listening.getsockname()[1]
        assert owner(port) is None, "it is bound, but nobody listens"
        listening.listen()
        assert owner(port) == os.getpid()
    assert owner(port) is None


def test_without_a_listener_no_other_process_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert owner(free_port()) is None
