"""Looks at a debugged program as nothing in tasks/ has to."""

from pathlib import Path

from tasks.delve.client import Delve
from tasks.delve.connection import DelveError
from tasks.delve.types import Stop
from tasks.system import procfs


def wait_stop(client: Delve, timeout: float) -> Stop:
    """Wait until the program is held; after DelveTimeoutError one may wait again."""
    state = client._until(lambda state: not state.running, timeout)
    if state.stop is None:
        raise DelveError(f"the program exited with status {state.exit_status}")
    return state.stop


def clients(port: int) -> int:
    """Count the connections to a loopback port: editors, terminals and our own; see proc(5)."""
    tables = (procfs.read(Path("/proc/net", name)) for name in ("tcp", "tcp6"))
    words = [row.split() for table in tables for row in table.splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in words)
