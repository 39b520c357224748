"""Free ports and instance names; no two test processes on this machine are given the same."""

import fcntl
import itertools
import os
import socket
import tempfile
import uuid
import zlib
from functools import cache
from pathlib import Path

FIRST, BLOCKS, SIZE = 28400, 32, 128
"""Between the ports of instances (see `instance_port`) and those of connections (32768)."""
_numbers = itertools.count()


@cache
def _block() -> int:
    """Take a block of ports for as long as this process lives."""
    folder = Path(tempfile.gettempdir()) / f"stepkube-test-ports-{os.geteuid()}"
    folder.mkdir(exist_ok=True)
    for number in range(BLOCKS):
        lock = os.open(folder / str(number), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return number
    raise AssertionError(f"{BLOCKS} other test processes run")


def free_port() -> int:
    """Return a port on which nobody listens, another each time."""
    for number in itertools.islice(_numbers, SIZE):
        port = FIRST + _block() * SIZE + number % SIZE
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("every port is in use")


def instance_name() -> str:
    """Return a new name of an instance whose ports are its own; they follow from the name."""
    while True:
        name = f"t{uuid.uuid4().hex[:12]}"
        if zlib.crc32(name.encode()) % 400 % BLOCKS == _block():
            return name
