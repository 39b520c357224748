"""Ports and sockets: who holds one, and whether a component answers on its own."""

from __future__ import annotations

import errno
import http.client
import os
import shlex
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Failure
from tasks.system.procfs import argv_of

_LONGEST = 107
"""Bytes the path of a socket may have."""
_OPENER = urllib.request.build_opener(
    urllib.request.ProxyHandler({}),  # a corporate proxy has no business with loopback
    urllib.request.HTTPSHandler(context=ssl._create_unverified_context()),  # noqa: S323
)


def owner(port: int) -> int | None:
    """Return the pid that listens on a TCP port, 0 when that may not be known, None if free."""
    import psutil  # noqa: PLC0415 - `doit list` stays fast

    return _owner(port, lambda status: status == psutil.CONN_LISTEN)


def require_free(component: str, ports: Iterable[int]) -> None:
    """Raise Failure naming the owner of the first port that is taken.

    Linux may give a port above 32767 to the near end of any connection (ip_local_port_range in
    ip(7)), which keeps everybody else from listening there.
    """
    for port in ports:
        pid = owner(port)
        if pid is not None:
            raise Failure(
                f"{component} cannot start: port {port} is in use by {describe(pid)}",
                f"stop that process, or give {component} another port (docs/configuration.md)",
            )
        if not _bindable(port):
            holder = describe(_owner(port, lambda _: True) or 0)
            raise Failure(
                f"{component} cannot start: port {port} is the near end of a connection of"
                f" {holder}",
                "try again when that has ended, or choose another port; as root, sysctl -w"
                f" net.ipv4.ip_local_reserved_ports={port} keeps it free from then on",
            )


def _owner(port: int, wanted: Callable[[str], bool]) -> int | None:
    import psutil  # noqa: PLC0415 - `doit list` stays fast

    for connection in psutil.net_connections("tcp"):
        if wanted(connection.status) and tuple(connection.laddr)[1:2] == (port,):
            return connection.pid or 0
    return None


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Go does it
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        return True


def require_short(component: str, sockets: Iterable[Path]) -> None:
    """Raise Failure for the first path that is longer than a socket's address holds (unix(7))."""
    for path in sockets:
        excess = len(os.fsencode(path)) - _LONGEST
        if excess > 0:
            raise Failure(
                f"{component} cannot listen at {path}: {excess} bytes longer than a socket may be",
                "point STEPKUBE_HOME at a shorter path, or use a shorter instance name",
            )


def describe(pid: int) -> str:
    """Return pid and command line of a process in words."""
    if pid == 0:
        return "a process that this user cannot see"
    argv = argv_of(pid)
    return f"pid {pid}: {shlex.join(argv)[:200]}" if argv else f"pid {pid}"


def healthy(health: Health, timeout: float | None = None) -> bool:
    """Tell whether a component answers its health check with a status that counts as ready.

    A `unix://` address is well when its socket accepts a connection. Without a `timeout`, the
    check's own counts.
    """
    timeout = health.timeout if timeout is None else timeout
    if health.url.startswith("unix://"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(health.url.removeprefix("unix://"))
            return True
        return False
    try:
        with _OPENER.open(health.url, timeout=timeout) as answer:
            return answer.status in health.accept
    except urllib.error.HTTPError as error:
        return error.code in health.accept
    except (OSError, http.client.HTTPException):
        return False


@dataclass(frozen=True)
class Health:
    """Where a component answers once it is ready; an https certificate is not verified.

    `accept` are the status codes that count as ready. Upstream's /readyz and /healthz are open to
    anonymous callers. `timeout` are the seconds one look may take.
    """

    url: str
    accept: tuple[int, ...] = (200,)
    timeout: float = 2.0
