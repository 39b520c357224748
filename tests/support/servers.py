"""Servers on loopback for the tests of the network: git over HTTP, TLS with a private authority,
and a proxy that counts its tunnels."""

from __future__ import annotations

import base64
import datetime
import http.server
import ipaddress
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "mirror.invalid"


class GitHandler(http.server.BaseHTTPRequestHandler):
    """`git http-backend` for the repositories of a folder, with a log-in and broken answers."""

    root: Path
    login = ""
    asked: list[str]
    cut: Callable[[int, bytes], int]
    """Given the number of a pack request and its body: bytes to answer with, -1 for all."""
    packs = 0

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        kind = type(self)
        path, _, query = self.path.partition("?")
        kind.asked.append(self.path)
        given = self.headers.get("Authorization", "")
        if kind.login and given != "Basic " + base64.b64encode(kind.login.encode()).decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=mirror")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(kind.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "http-backend"],
            input=body,
            env=env,
            capture_output=True,
            check=False,
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        limit = -1
        if b"packfile" in answer[:2000] or answer[:4] == b"PACK":
            limit = kind.cut(kind.packs, body)
            kind.packs += 1
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer if limit < 0 else answer[:limit])
        if limit >= 0:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def git_server(root: Path, **values: object) -> Iterator[tuple[str, type[GitHandler]]]:
    """Serve the repositories below a folder."""
    values = {"root": root, "asked": [], "cut": staticmethod(lambda *_: -1), **values}
    handler = type("Serving", (GitHandler,), values)
    with served(handler) as port:
        yield f"http://127.0.0.1:{port}", handler


@contextmanager
def served(
    handler: type[http.server.BaseHTTPRequestHandler],
    pair: Path | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[int]:
    """Serve on a free port of loopback, with TLS when a certificate or a context is given."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair)
        if context is not None:
            listening.socket = context.wrap_socket(
                listening.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield listening.server_port
        finally:
            listening.shutdown()
            thread.join()


def authority(folder: Path) -> tuple[Path, Path]:
    """Make a private authority and a certificate for NAME; return the CA's file and the pair's."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a private authority")])
    ca = (
        _certificate(ca_name, ca_name, ca_key, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    one = (
        _certificate(name, ca_name, key, ca_key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    bundle, pair = folder / "authority.pem", folder / "pair.pem"
    bundle.write_bytes(ca.public_bytes(pem))
    private = key.private_bytes(pem, form, serialization.NoEncryption())
    pair.write_bytes(one.public_bytes(pem) + private)
    return bundle, pair


def _certificate(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    ski = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(ski, critical=False)
    )


@contextmanager
def connect_proxy(port: int) -> Iterator[tuple[str, list[str]]]:
    """Run a proxy that leads every tunnel to one port of loopback; give its address and a log."""
    seen: list[str] = []

    class Tunnel(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            login = self.headers.get("Proxy-Authorization", "")
            seen.append(f"CONNECT {self.path} {login}".strip())
            with socket.create_connection(("127.0.0.1", port)) as there:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=_pump, args=(there, self.connection))
                back.start()
                _pump(self.connection, there)
                back.join()
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    with served(Tunnel) as own:
        yield f"http://127.0.0.1:{own}", seen


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
