"""Connects loopback ports of two network namespaces; run as a program of its own, as root.

Usage: relay.py NETNS MAPPING... with a MAPPING in:ADDRESS:PORT (listen on the host's ADDRESS, go
on to 127.0.0.1 in NETNS) or out:ADDRESS:PORT[:HOST] (listen in NETNS, go on to that port of HOST
as the host knows it, 127.0.0.1 by default).
A socket belongs to the namespace in which it was made, see network_namespaces(7).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Namespaces:
    """Makes sockets on the host or in the sandbox."""

    def __init__(self, sandbox: str) -> None:
        self.host = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.sandbox = os.open(sandbox, os.O_RDONLY | os.O_CLOEXEC)

    def socket(self, inside: bool) -> socket.socket:
        """Return a new non-blocking TCP socket of one side."""
        _enter(self.sandbox if inside else self.host)
        try:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            _enter(self.host)
        made.setblocking(False)
        return made


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "setns")


async def serve(namespaces: Namespaces, mapping: str) -> None:
    """Accept connections of one mapping for ever."""
    direction, address, port, *further = mapping.split(":", 3)
    inside, target = direction == "out", (*further, "127.0.0.1")[0]
    listener = namespaces.socket(inside)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen(128)
    loop, running = asyncio.get_running_loop(), set()
    while True:
        client, _ = await loop.sock_accept(listener)
        server = namespaces.socket(not inside)
        task = loop.create_task(_connect(client, server, (target, int(port))))
        running.add(task)
        task.add_done_callback(running.discard)


async def _connect(client: socket.socket, server: socket.socket, to: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    with client, server, contextlib.suppress(OSError):
        client.setblocking(False)
        await loop.sock_connect(server, to)
        await asyncio.gather(_pump(client, server), _pump(server, client))


async def _pump(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(source, 65536):
            await loop.sock_sendall(target, data)
    finally:
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


async def _main(sandbox: str, mappings: list[str]) -> None:
    namespaces = Namespaces(sandbox)
    await asyncio.gather(*(serve(namespaces, mapping) for mapping in mappings))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2:]))
