"""Connection to Delve: JSON-RPC requests and replies in the format of Go's encoder.

An unanswered request blocks all later requests of its connection. Therefore a timeout closes the
connection, and the caller needs a new one.
"""

from __future__ import annotations

import itertools
import json
import socket
import time
from contextlib import suppress
from typing import Any, Self

from tasks.core.errors import Failure


class DelveError(Failure):
    """Delve returned an error, closed the connection, or cannot be reached."""


class DelveTimeoutError(DelveError):
    """Delve did not answer in time; if halt times out, an editor that uses DAP is attached."""


class DelveRunningError(DelveError):
    """The request needs a paused program, and the program runs."""


class Connection:
    """Connection to a headless Delve at `host:port`, for one thread; `timeout` is in seconds."""

    def __init__(self, address: str, timeout: float = 10.0) -> None:
        host, _, port = address.rpartition(":")
        self.address, self.timeout = address, timeout
        self._ids = itertools.count(1)
        self._replies: dict[int, dict[str, Any]] = {}
        self._partial = b""
        self._closed = ""
        try:
            self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout)
            try:
                # getpeername() fails if Delve has exited since. If no process listens, the kernel
                # may connect the socket to itself, which would block the port for Delve.
                if self._socket.getsockname() == self._socket.getpeername():
                    raise ConnectionRefusedError("no process listens on this port")
            except OSError:
                self._socket.close()
                raise
        except OSError as error:
            raise DelveError(f"cannot connect to Delve at {address}: {error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, why: str = "this connection to Delve was closed") -> None:
        """Close the connection; this does not change the program."""
        self._closed = self._closed or why
        self._socket.close()

    def start(self, method: str, **params: Any) -> int:
        """Send a request and return a ticket for its reply; for requests that take long."""
        if self._closed:
            raise DelveError(self._closed, "connect again")
        ticket = next(self._ids)
        request = {"method": f"RPCServer.{method}", "params": [params], "id": ticket}
        try:
            self._socket.settimeout(self.timeout)
            self._socket.sendall(json.dumps(request).encode())
        except OSError as error:
            raise self._lost(error) from None
        return ticket

    def finish(self, ticket: int, timeout: float | None = None) -> Any:
        """Return the reply of a ticket; after DelveTimeoutError the caller may wait again."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while ticket not in self._replies:
            self._receive(deadline)
        reply = self._replies.pop(ticket)
        if reply["error"] is not None:
            raise DelveError(f"Delve: {reply['error'].strip()}")
        return reply["result"]

    def call(self, method: str, timeout: float | None = None, **params: Any) -> Any:
        """Send a request and return its reply; a timeout closes the connection."""
        ticket = self.start(method, **params)
        try:
            return self.finish(ticket, timeout)
        except DelveTimeoutError:
            self.close(f"an earlier {method} on this connection was never answered")
            raise

    def call_repeatedly(self, method: str, interval: float, **params: Any) -> Any:
        """Send a read-only request every `interval` seconds, and return the first reply.

        A timeout closes the connection.
        """
        deadline, tickets = time.monotonic() + self.timeout, list[int]()
        while time.monotonic() < deadline:
            tickets.append(self.start(method, **params))
            retry_at = min(time.monotonic() + interval, deadline)
            while not self._replies.keys() & tickets and time.monotonic() < retry_at:
                with suppress(DelveTimeoutError):
                    self._receive(retry_at)
            for ticket in self._replies.keys() & tickets:
                return self.finish(ticket)
        self.close(f"an earlier {method} on this connection was never answered")
        raise DelveTimeoutError(f"Delve at {self.address} did not answer in time")

    def _receive(self, deadline: float) -> None:
        """Receive the next replies; Go's encoder writes a newline after each JSON value."""
        chunks = [self._partial]
        try:
            while b"\n" not in chunks[-1]:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                chunks.append(self._socket.recv(1 << 20))
                if not chunks[-1]:
                    raise self._lost("Delve closed the connection")
        except TimeoutError:
            raise DelveTimeoutError(f"Delve at {self.address} did not answer in time") from None
        except OSError as error:
            raise self._lost(error) from None
        finally:
            *lines, self._partial = b"".join(chunks).split(b"\n")
        try:
            for reply in map(json.loads, lines):
                if not isinstance(reply["error"], str | None):
                    raise TypeError
                self._replies[reply["id"]] = {"result": reply["result"], "error": reply["error"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._lost("the server is not Delve") from None

    def _lost(self, why: object) -> DelveError:
        self.close(f"lost the connection to Delve at {self.address}: {why}")
        return DelveError(self._closed)
