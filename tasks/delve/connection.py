"""A connection to Delve: requests and replies of JSON-RPC, as Go's encoder writes them.

A request that was never answered stands in front of all later ones of its connection, so running
out of time closes the connection and a new one is needed.
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
    """Delve refused, is gone, or cannot be reached."""


class DelveTimeoutError(DelveError):
    """Delve did not answer in time; when halt does not, an editor that speaks DAP is attached."""


class DelveRunningError(DelveError):
    """What was asked for needs a held program, and this one runs."""


class Connection:
    """A connection to a headless Delve at `host:port`, for one thread; `timeout` is in seconds."""

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
                # A Delve that ended since has no name any more; and when nobody listens, the
                # kernel may give us the very port we call, which we would block.
                if self._socket.getsockname() == self._socket.getpeername():
                    raise ConnectionRefusedError("nobody listens there")
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
        """Close the connection; the program stays as it is."""
        self._closed = self._closed or why
        self._socket.close()

    def start(self, method: str, **params: Any) -> int:
        """Send a request and return a ticket for its reply, for what takes long."""
        if self._closed:
            raise DelveError(self._closed, "connect again")
        ticket = next(self._ids)
        request = {"method": f"RPCServer.{method}", "params": [params], "id": ticket}
        try:
            self._socket.settimeout(self.timeout)
            self._socket.sendall(json.dumps(request).encode())
        except OSError as error:
            raise self._gone(error) from None
        return ticket

    def finish(self, ticket: int, timeout: float | None = None) -> Any:
        """Wait for the reply of a ticket; after DelveTimeoutError one may wait for it again."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while ticket not in self._replies:
            self._receive(deadline)
        reply = self._replies.pop(ticket)
        if reply["error"] is not None:
            raise DelveError(f"Delve: {reply['error'].strip()}")
        return reply["result"]

    def call(self, method: str, timeout: float | None = None, **params: Any) -> Any:
        """Send a request and wait for its reply; running out of time closes the connection."""
        ticket = self.start(method, **params)
        try:
            return self.finish(ticket, timeout)
        except DelveTimeoutError:
            self.close(f"an earlier {method} on this connection was never answered")
            raise

    def call_again(self, method: str, every: float, **params: Any) -> Any:
        """Send a request that changes nothing, again every so many seconds; take the first reply.

        Running out of time closes the connection.
        """
        deadline, tickets = time.monotonic() + self.timeout, list[int]()
        while time.monotonic() < deadline:
            tickets.append(self.start(method, **params))
            again = min(time.monotonic() + every, deadline)
            while not self._replies.keys() & tickets and time.monotonic() < again:
                with suppress(DelveTimeoutError):
                    self._receive(again)
            for ticket in self._replies.keys() & tickets:
                return self.finish(ticket)
        self.close(f"an earlier {method} on this connection was never answered")
        raise DelveTimeoutError(f"Delve at {self.address} did not answer in time")

    def _receive(self, deadline: float) -> None:
        """Take in what Delve sends next; Go ends every JSON value with a newline."""
        chunks = [self._partial]
        try:
            while b"\n" not in chunks[-1]:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                chunks.append(self._socket.recv(1 << 20))
                if not chunks[-1]:
                    raise self._gone("it closed the connection")
        except TimeoutError:
            raise DelveTimeoutError(f"Delve at {self.address} did not answer in time") from None
        except OSError as error:
            raise self._gone(error) from None
        finally:
            *lines, self._partial = b"".join(chunks).split(b"\n")
        try:
            for reply in map(json.loads, lines):
                self._replies[reply["id"]] = reply
        except (ValueError, KeyError, TypeError):
            raise self._gone("what answers there is not Delve") from None

    def _gone(self, why: object) -> DelveError:
        self.close(f"Delve at {self.address} is gone: {why}")
        return DelveError(self._closed)
