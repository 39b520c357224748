"""A small client of the Debug Adapter Protocol, as VS Code and nvim-dap speak it to Delve."""

import json
import queue
import socket
import threading
from contextlib import suppress
from typing import Any


class Dap:
    """One connection; Delve tells DAP from JSON-RPC by the first byte."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.socket.settimeout(None)
        self.stream = self.socket.makefile("rb")
        self.number = 0
        self.answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return its response's body."""
        ticket = self.send(command, **arguments)
        answer = self.answers[ticket].get(timeout=60)
        assert answer["success"], answer
        body: dict[str, Any] = answer.get("body") or {}
        return body

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request without waiting."""
        self.number += 1
        self.answers[self.number] = queue.Queue()
        message = {"seq": self.number, "type": "request", "command": command}
        data = json.dumps({**message, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        return self.number

    def event(self, name: str) -> dict[str, Any]:
        """Wait for an event."""
        while True:
            event = self.events.get(timeout=60)
            if event["event"] == name:
                return event

    def attach(self, *functions: str) -> None:
        """Attach to a running Delve as an editor does, with breakpoints on functions."""
        self.request("initialize", adapterID="go")
        ticket = self.send("attach", mode="remote", stopOnEntry=False)
        self.event("initialized")
        self.request("setFunctionBreakpoints", breakpoints=[{"name": one} for one in functions])
        self.request("configurationDone")
        assert self.answers[ticket].get(timeout=60)["success"]

    def close(self) -> None:
        """Drop the connection without a word."""
        with suppress(OSError):  # the other side may be gone already
            self.socket.shutdown(socket.SHUT_RDWR)
        self.reader.join(10)
        self.stream.close()
        self.socket.close()

    def _read(self) -> None:
        try:
            while header := self.stream.readline():
                length = int(header.split(b":")[1])
                self.stream.readline()
                message = json.loads(self.stream.read(length))
                if message["type"] == "response":
                    self.answers[message["request_seq"]].put(message)
                elif message["type"] == "event":
                    self.events.put(message)
        except (OSError, ValueError, IndexError):
            return
