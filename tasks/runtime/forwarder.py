"""Port forwards and an HTTP proxy between two network namespaces; a separate program for root.

Usage: forwarder.py NETNS MAPPING..., where MAPPING is one of
in:ADDRESS:PORT:TARGET:PORT    listen on ADDRESS on the host, connect to TARGET in NETNS
out:ADDRESS:PORT:TARGET:PORT   listen on ADDRESS in NETNS, connect to TARGET on the host
proxy:ADDRESS:PORT             serve an HTTP proxy in NETNS that connects over the host's network
alive:PATH                     accept and close connections to a Unix socket, to show that it works

A socket belongs to the namespace in which it was created, see network_namespaces(7).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import ipaddress
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

CLONE_NEWNET = 0x40000000
HEAD_LIMIT = 65536
"""The maximum size in bytes of the request line and headers of a proxy request."""
_LIBC = ctypes.CDLL(None, use_errno=True)
Serve = Callable[[socket.socket], Awaitable[None]]


class Namespaces:
    """The network namespaces of the host and the sandbox; creates sockets in either."""

    def __init__(self, sandbox: str) -> None:
        self.host = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.sandbox = os.open(sandbox, os.O_RDONLY | os.O_CLOEXEC)

    def socket(self, inside: bool, family: int = socket.AF_INET) -> socket.socket:
        """Return a new non-blocking TCP socket, in the sandbox if `inside`, else on the host."""
        _enter(self.sandbox if inside else self.host)
        try:
            created = socket.socket(family, socket.SOCK_STREAM)
        finally:
            _enter(self.host)
        created.setblocking(False)
        return created


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "setns")


async def serve_mapping(namespaces: Namespaces, mapping: str) -> None:
    """Serve one mapping until the program is stopped."""
    kind, address, port, *target = mapping.split(":")

    async def forward(client: socket.socket) -> None:
        with namespaces.socket(inside=kind == "in") as server:
            await asyncio.get_running_loop().sock_connect(server, (target[0], int(target[1])))
            await _exchange(client, server)

    async def proxy(client: socket.socket) -> None:
        await _serve_proxy_request(namespaces, client)

    listener = namespaces.socket(inside=kind != "in")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen(128)
    await _accept(listener, proxy if kind == "proxy" else forward)


async def _serve_alive(path: str) -> None:
    """Close each connection to a Unix socket; a program that hangs does not."""
    with contextlib.suppress(FileNotFoundError):  # of a forwarder that was killed
        os.unlink(path)  # noqa: PTH108

    async def close(_: socket.socket) -> None:
        pass

    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)
    listener.bind(path)
    listener.listen(128)
    await _accept(listener, close)


async def _accept(listener: socket.socket, serve: Serve) -> None:
    loop, running = asyncio.get_running_loop(), set()

    async def guarded(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            await serve(client)

    while True:
        try:
            client, _ = await loop.sock_accept(listener)
        except OSError as error:  # for example no free descriptor: open connections must continue
            sys.stderr.write(f"{error}\n")
            await asyncio.sleep(0.1)
            continue
        client.setblocking(False)
        task = loop.create_task(guarded(client))
        running.add(task)
        task.add_done_callback(running.discard)


async def _exchange(client: socket.socket, server: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    pumps = [loop.create_task(_pump(*pair)) for pair in ((client, server), (server, client))]
    try:
        await asyncio.gather(*pumps)
    finally:  # closing a socket that a task still reads breaks a later connection
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(source, 65536):
            await loop.sock_sendall(target, data)
    finally:
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


async def _serve_proxy_request(namespaces: Namespaces, client: socket.socket) -> None:
    """Answer one proxy request, through the host's proxy if one is configured."""
    loop, head = asyncio.get_running_loop(), b""
    while b"\r\n\r\n" not in head:
        data = await loop.sock_recv(client, HEAD_LIMIT)
        head += data
        if not data or len(head) > HEAD_LIMIT:
            return
    line, _, rest = head.partition(b"\r\n")
    method, _, target = line.decode("latin-1").rpartition(" ")[0].partition(" ")
    url = urlsplit(f"https://{target}" if method == "CONNECT" else target)
    proxies, port = getproxies_environment(), url.port or 80
    upstream = proxies.get(url.scheme)
    if not url.hostname or (method != "CONNECT" and url.scheme != "http"):
        await loop.sock_sendall(client, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        return
    try:
        if upstream and not proxy_bypass(url.hostname):
            proxy = urlsplit(upstream)
            server = await _connect(namespaces, proxy.hostname or "", proxy.port or 80)
            first = line + b"\r\n" + _authorization(proxy.username, proxy.password) + rest
        else:
            server = await _connect(namespaces, url.hostname, port, outside_only=True)
            path = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
            first = f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode("latin-1") + rest
            if method == "CONNECT":
                await loop.sock_sendall(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
                first = rest.partition(b"\r\n\r\n")[2]
    except OSError as error:
        body = str(error).encode()
        answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        await loop.sock_sendall(client, answer)
        return
    with server:
        await loop.sock_sendall(server, first)
        await _exchange(client, server)


def _authorization(user: str | None, password: str | None) -> bytes:
    if user is None:
        return b""
    credentials = base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode())
    return b"Proxy-Authorization: Basic " + credentials + b"\r\n"


async def _connect(
    namespaces: Namespaces, host: str, port: int, *, outside_only: bool = False
) -> socket.socket:
    """Connect over the host's network; with `outside_only`, not to the host's loopback."""
    loop = asyncio.get_running_loop()
    failure = OSError(f"{host} has no address")
    for family, _, _, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        target = _unmapped(str(address[0]))
        if outside_only and (target.is_loopback or target.is_link_local or target.is_unspecified):
            failure = OSError(f"{host} is an address of the host itself")
            continue
        server = namespaces.socket(inside=False, family=family)
        try:
            await asyncio.wait_for(loop.sock_connect(server, address), 20)
        except OSError as error:
            server.close()
            failure = error
        else:
            return server
    raise failure


def _unmapped(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an IP address; the IPv4 address for an IPv4-mapped one (RFC 4291, 2.5.5.2)."""
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


async def _main(sandbox: str, mappings: list[str]) -> None:
    namespaces = Namespaces(sandbox)
    alive = [mapping.partition(":")[2] for mapping in mappings if mapping.startswith("alive:")]
    served = [mapping for mapping in mappings if not mapping.startswith("alive:")]
    await asyncio.gather(
        *map(_serve_alive, alive), *(serve_mapping(namespaces, mapping) for mapping in served)
    )


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2:]))
