"""Free ports and instance names; no two test processes on this machine are given the same."""

import itertools
import socket
import uuid
import zlib
from functools import cache

FIRST, BLOCKS, SIZE = 28400, 32, 128
"""Between the ports of instances (see `instance_port`) and those of connections (32768)."""
_numbers = itertools.count()


@cache
def _block() -> tuple[int, socket.socket]:
    """Take a block of ports for as long as this process lives: the socket is the lock."""
    for number in range(BLOCKS):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0stepkube-test-ports-{number}")  # no file, see unix(7)
        except OSError:
            lock.close()
        else:
            return number, lock
    raise AssertionError(f"{BLOCKS} other test processes run")


def free_port() -> int:
    """Return a port on which nobody listens, another each time."""
    for number in itertools.islice(_numbers, SIZE):
        port = FIRST + _block()[0] * SIZE + number % SIZE
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("every port is in use")


def instance_name() -> str:
    """Return a new name of an instance whose ports are its own; they follow from the name."""
    while True:
        name = f"t{uuid.uuid4().hex[:12]}"
        if zlib.crc32(name.encode()) % 400 % BLOCKS == _block()[0]:
            return name
