"""Ports and sockets: which process uses a port, and whether a component is healthy."""

from __future__ import annotations

import errno
import os
import shlex
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tasks.core.errors import Failure
from tasks.system.procfs import argv_of, read

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

_LONGEST = 107
"""The maximum length of a socket's path in bytes, see unix(7)."""


def owner(port: int) -> int | None:
    """Return the pid that listens on a TCP port, 0 if this user cannot see it, None if free."""
    if not _is_listened_on(port):
        return None
    import psutil  # noqa: PLC0415 - `doit list` stays fast

    return _owner(port, lambda status: status == psutil.CONN_LISTEN)


def has_clients(port: int) -> bool:
    """Return whether a client on this machine is connected to a TCP port."""
    import psutil  # noqa: PLC0415 - `doit list` stays fast

    return _owner(port, lambda status: status == psutil.CONN_ESTABLISHED) is not None


def require_free(component: str, ports: Iterable[int]) -> None:
    """Raise Failure for the first port that is in use, with the process that uses it.

    Linux may use a port above 32767 as the local port of an outgoing connection
    (ip_local_port_range in ip(7)); then no other process can listen on it.
    """
    for port in ports:
        pid = owner(port)
        if pid is not None:
            raise Failure(
                f"{component} cannot start: port {port} is in use by {describe(pid)}",
                f"stop that process, or set another port for {component} (docs/configuration.md)",
            )
        if not _bindable(port):
            description = describe(_owner(port, lambda _: True) or 0)
            raise Failure(
                f"{component} cannot start: port {port} is in use as the local port of an outgoing"
                f" connection of {description}",
                "try again later, or set another port; to reserve this one, run as root: sysctl -w"
                f" net.ipv4.ip_local_reserved_ports={port}",
            )


def _is_listened_on(port: int) -> bool:
    """Return whether a process listens on a TCP port.

    Finding the process looks at every file of every process; this reads two files, see proc(5).
    """
    listening = "0A"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in read(Path(table)).splitlines()[1:]:
            _, local, _, state, *_ = row.split()
            if state == listening and int(local.rpartition(":")[2], 16) == port:
                return True
    return False


def _owner(port: int, has_status: Callable[[str], bool]) -> int | None:
    import psutil  # noqa: PLC0415 - `doit list` stays fast

    for connection in psutil.net_connections("tcp"):
        if has_status(connection.status) and tuple(connection.laddr)[1:2] == (port,):
            return connection.pid or 0
    return None


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Go sets it too
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        return True


def require_short(component: str, sockets: Iterable[Path]) -> None:
    """Raise Failure for the first path that is too long for a socket (unix(7))."""
    for path in sockets:
        excess = len(os.fsencode(path)) - _LONGEST
        if excess > 0:
            raise Failure(
                f"{component} cannot listen at {path}: the path is {excess} bytes longer than the"
                f" {_LONGEST} bytes of a socket's path",
                "set STEPKUBE_HOME to a shorter path, or use a shorter instance name",
            )


def describe(pid: int) -> str:
    """Return the pid and command line of a process as text for a message."""
    if pid == 0:
        return "a process that this user cannot see"
    argv = argv_of(pid)
    return f"pid {pid}: {shlex.join(argv)[:200]}" if argv else f"pid {pid}"


def healthy(health: Health, timeout: float | None = None) -> bool:
    """Return whether a component answers its health check with an accepted status."""
    return answer(health, timeout) == "ready"


def answer(health: Health, timeout: float | None = None) -> Answer:
    """Return the answer of a component to its health check.

    A `unix://` address is ready when its socket accepts a connection. `timeout` (seconds) replaces
    the timeout of the check.
    """
    timeout = health.timeout if timeout is None else timeout
    if health.url.startswith("unix://"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(health.url.removeprefix("unix://"))
            return "ready"
        return "none"
    import http.client  # noqa: PLC0415 - `doit list` stays fast
    import urllib.error  # noqa: PLC0415 - `doit list` stays fast

    try:
        with opener(health).open(health.url, timeout=timeout) as reply:
            status = reply.status
    except urllib.error.HTTPError as error:
        status = error.code
    except (OSError, http.client.HTTPException):
        return "none"
    return "ready" if status in health.accept else "not ready"


Answer = Literal["ready", "not ready", "none"]
"""`not ready`: an HTTP status that is not accepted; `none`: no connection, or no reply in time."""


def opener(health: Health) -> OpenerDirector:
    """Return the HTTP client of a health check. Raises OSError for an unreadable certificate."""
    import ssl  # noqa: PLC0415 - `doit list` stays fast
    import urllib.request  # noqa: PLC0415 - `doit list` stays fast

    context = ssl._create_unverified_context()  # noqa: S323
    if health.certificate is not None:
        context.load_cert_chain(*health.certificate)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}),  # loopback must not go through a corporate proxy
        urllib.request.HTTPSHandler(context=context),
    )


@dataclass(frozen=True)
class Health:
    """The health check of a component.

    Upstream's /readyz and /healthz are open to anonymous callers.
    """

    url: str
    """An http, https or unix address; the https certificate is not verified."""
    accept: tuple[int, ...] = (200,)
    """The HTTP status codes that mean ready."""
    timeout: float = 2.0
    """Seconds for one request."""
    certificate: tuple[Path, Path] | None = None
    """The client certificate and its key, for a server that refuses clients without one."""
