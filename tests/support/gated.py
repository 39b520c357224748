"""A component that is ready when a test lets it, for what happens before that and after.

Usage: gated.py PORT FIFO. It reads FIFO, then answers /healthz on PORT. After SIGUSR1 it runs on
without its port, after SIGUSR2 it exits with code 3.
"""

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers every request with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main(port: str, fifo: str) -> None:
    def leave(*_: object) -> None:
        os.write(2, b"my last words\n")
        os._exit(3)

    signal.signal(signal.SIGUSR2, leave)
    if fifo:
        Path(fifo).read_text()
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    signal.signal(signal.SIGUSR1, lambda *_: server.socket.close())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
