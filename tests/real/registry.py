"""An image registry behind a proxy, as a company has it: a CA of its own, on loopback only."""

from __future__ import annotations

import json
import ssl
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tasks.certs import pki
from tasks.certs.certificates import Certificate

HOST = "registry.stepkube.test"


@contextmanager
def serving(archive: Path, folder: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Serve an image archive; yield the proxy's address, the CA and the paths that were asked for.

    Whatever host a client asks the proxy for, it is this one that answers.
    """
    authority = pki.issue(Certificate("ca", "tests", "authority"), None)
    own = pki.issue(Certificate("own", HOST, "server", "ca", (), (HOST,)), authority)
    ca, pair = folder / "registry-ca.crt", folder / "registry.pem"
    ca.write_bytes(authority.crt)
    pair.write_bytes(own.key + own.crt)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    answers, asked = contents(archive), list[str]()

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            try:
                self.connection = context.wrap_socket(self.connection, server_side=True)
            except OSError:  # a client that wanted another host, and does not trust this one
                self.close_connection = True
                return
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", 0)
            self.close_connection = False

        def do_GET(self) -> None:
            asked.append(self.path)
            kind, body = answers.get(self.path.rpartition("/")[2], ("text/plain", b""))
            self.send_response(200 if body or self.path == "/v2/" else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", ca, asked
        server.shutdown()


def contents(archive: Path) -> dict[str, tuple[str, bytes]]:
    """Return what is in an archive, by digest, the manifest by its tag too, each with its type."""
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            stream = opened.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read()
    (entry,) = json.loads(found["index.json"])["manifests"]
    tag = entry["annotations"]["org.opencontainers.image.ref.name"]
    blobs = {
        f"sha256:{name.rpartition('/')[2]}": ("application/octet-stream", data)
        for name, data in found.items()
        if name.startswith("blobs/")
    }
    manifest = (entry["mediaType"], blobs[entry["digest"]][1])
    return {**blobs, entry["digest"]: manifest, tag: manifest}
