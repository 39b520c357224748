"""The wait for a Ready node, and the request to kube-apiserver behind it."""

from __future__ import annotations

import http.server
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import Failure
from tasks.runtime import api_request, node
from tasks.settings.load import Settings
from tests.support import certs, servers


class Api(http.server.BaseHTTPRequestHandler):
    """Answers with the next of some answers, and keeps what it was asked."""

    answers: list[tuple[int, bytes]]
    asked: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        peer: Any = self.connection
        name = dict(part[0] for part in (peer.getpeercert() or {}).get("subject", ()))
        user = self.headers.get("Authorization") or name.get("commonName", "")
        self.asked.append((self.command, self.path, user))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def state(ready: str, message: str = "") -> tuple[int, bytes]:
    condition = {"type": "Ready", "status": ready, "message": message}
    other = {"type": "DiskPressure", "status": "False"}
    return 200, json.dumps({"status": {"conditions": [other, condition]}}).encode()


Serve = Callable[..., Settings]


@pytest.fixture
def made(tmp_path: Path) -> Settings:
    chosen = certs.load(tmp_path / "home")
    certs.make(chosen)
    return chosen


@pytest.fixture
def serve(made: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve answers as kube-apiserver does, with the certificates of a cluster."""
    monkeypatch.setattr(node, "POLL_INTERVAL", 0.0)
    monkeypatch.setattr(Api, "asked", [], raising=False)
    running = []

    def start(*answers: tuple[int, bytes], folder: Path | None = None) -> Settings:
        monkeypatch.setattr(Api, "answers", list(answers), raising=False)
        home = folder or made.paths.certs
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            home / "serving-kube-apiserver.crt", home / "serving-kube-apiserver.key"
        )
        context.load_verify_locations(home / "client-ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        server = servers.served(Api, context=context)
        port = server.__enter__()
        running.append(server)
        return replace(made, api=replace(made.api, secure_port=port))

    yield start
    for server in running:
        server.__exit__(None, None, None)


def test_it_waits_until_the_node_is_ready(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    missing = 404, b'{"message": "nodes \\"node-a\\" not found"}'
    fresh = 200, b'{"status": {}}'
    node.wait_ready(serve(missing, (503, b"down"), fresh, state("False"), state("True")))
    assert Api.asked == [("GET", "/api/v1/nodes/node-a", "system:admin")] * 5
    assert "node-a is Ready" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (state("Unknown", "Kubelet stopped posting"), "Kubelet stopped posting"),
        ((404, b'{"message": "not found"}'), "not found"),
        ((500, b"<html>"), "500"),
        ((200, b'{"status": {"conditions": null}}'), "kubelet"),
    ],
)
def test_after_the_time_limit_it_says_why_and_shows_the_log(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes], problem: str
) -> None:
    monkeypatch.setattr(node, "READY_TIMEOUT", 0.0)
    made = serve(answer)
    log = made.paths.log("kubelet")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("E1 cni config uninitialized\n")
    with pytest.raises(Failure) as failed:
        node.wait_ready(made)
    assert "node-a" in failed.value.message and problem in failed.value.message
    assert "cni config uninitialized" in failed.value.message and str(log) in failed.value.hint


def test_without_an_answer_it_says_so(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "READY_TIMEOUT", 0.0)
    closed = replace(made, api=replace(made.api, secure_port=1))
    with pytest.raises(Failure, match="refused"):
        node.wait_ready(closed)


def test_a_token_replaces_the_certificate(serve: Serve) -> None:
    made = serve((200, b"{}"))
    made = replace(made, certs=replace(made.certs, kubeconfig_token="t0ken"))
    assert api_request.send(made, "GET", "/readyz") == (200, b"{}")
    assert Api.asked == [("GET", "/readyz", "Bearer t0ken")]


def test_another_server_gets_no_token(serve: Serve, tmp_path: Path) -> None:
    other = certs.load(tmp_path / "other")
    made = serve((200, b"{}"), folder=certs.make(other))
    made = replace(made, certs=replace(made.certs, kubeconfig_token="t0ken"))
    with pytest.raises(ssl.SSLCertVerificationError):
        api_request.send(made, "GET", "/readyz")
    assert Api.asked == []
