"""Port forwards between the host and the sandbox: start, keep and stop the forwarders.

The main forwarder connects the sandbox to kube-apiserver, and the host to the ports of
node.forward. Each component in the sandbox that exposes ports has a separate forwarder, so that
the host's ports are in use only while the component runs.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from tasks.components import forwarding
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files, network, ports, process, procfs, signals
from tasks.system.process import Record

MAIN = "sandbox-relay"
"""The name of the main forwarder: of its record, log and mark."""
ALIVE = "alive:"
"""Start of the mapping that names the socket at which a forwarder shows that it works."""
ANSWER_LIMIT = 3.0
"""Seconds in which a forwarder must close a connection to that socket; usually it takes 1 ms."""
LISTENING = "0A"
"""The state of a listening socket in /proc/PID/net/tcp, see proc(5)."""


def forwarder_name(name: str) -> str:
    """Return the name of the forwarder of a component in the sandbox."""
    return f"{MAIN}-{name}"


def ensure_main(settings: Settings, init: Record) -> None:
    """Start the main forwarder, unless it runs with the mappings that the settings need.

    `init` is the record of the sandbox's PID 1. Raises Failure when the forwarder does not listen
    in the sandbox within 30 s.
    """
    run, mappings = settings.paths.run, forwarding.mappings(settings)
    if _keep(process.load(run, MAIN), init, mappings):
        return
    forwarder = start_forwarder(settings, init, MAIN, mappings)
    process.save(run, forwarder)
    port = settings.api.secure_port
    if not process.until(lambda: _listens(init, port), forwarder.identity.alive, 30.0, every=0.02):
        raise _not_started(settings, MAIN)


def expose_ports(settings: Settings, init: Record, name: str) -> None:
    """Forward the host's loopback ports to a component in the sandbox, unless it is done."""
    run, forwarder = settings.paths.run, forwarder_name(name)
    ports_to_expose = COMPONENTS[name].exposed_ports(settings)
    mappings = [forwarding.inward_mapping(port) for port in ports_to_expose]
    if not _keep(process.load(run, forwarder), init, mappings) and mappings:
        process.save(run, start_forwarder(settings, init, forwarder, mappings))


def close_ports(settings: Settings, name: str) -> None:
    """Stop the forwarder of a stopped component, which frees the host's ports."""
    record = process.load(settings.paths.run, forwarder_name(name))
    if record is not None:
        signals.stop(record.identity)
        forget(settings.paths.run, record.component)


def forget(run: Path, forwarder: str) -> None:
    """Remove the record and the socket of a stopped forwarder."""
    process.forget(run, forwarder)
    files.remove(run / _socket_name(forwarder))


def broken(settings: Settings, name: str) -> Mapping[str, str]:
    """Return the broken forwarders of a component in the sandbox, each with its problem."""
    exposes = COMPONENTS[name].exposed_ports(settings)
    needed = [MAIN, *([forwarder_name(name)] if exposes else [])]
    records = {forwarder: process.load(settings.paths.run, forwarder) for forwarder in needed}
    problems = {forwarder: _problem(record) for forwarder, record in records.items()}
    return {forwarder: problem for forwarder, problem in problems.items() if problem}


def _problem(forwarder: Record | None) -> str:
    """Return why a forwarder does not work; empty if it does.

    It is not visible in its ports whether it works: the kernel accepts connections for it.
    """
    if forwarder is None or not forwarder.alive():
        return "does not run"
    if procfs.is_stopped(forwarder.identity.pid):
        return "was stopped by a signal"
    return "" if _answers(forwarder) else "hangs"


def _answers(forwarder: Record) -> bool:
    """Return whether a forwarder closes a connection to its socket in time.

    One that an earlier release started has no socket: it is taken to work.
    """
    name = next((word for word in forwarder.argv if word.startswith(ALIVE)), None)
    if name is None:
        return True
    # a path of any length works: a socket's own path has at most 107 bytes
    path = f"/proc/{forwarder.identity.pid}/cwd/{name.removeprefix(ALIVE)}"
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_LIMIT)
            client.connect(path)
            return client.recv(1) == b""
    except OSError:
        return False


def _socket_name(forwarder: str) -> str:
    return f"{forwarder}.sock"


def start_forwarder(settings: Settings, init: Record, name: str, mappings: list[str]) -> Record:
    """Start a forwarder, wait until it listens on the host, and return its record.

    Raises Failure when a port is in use, or with its log when it does not listen within 30 s.
    """
    paths = settings.paths
    host_ports = [int(entry.split(":")[2]) for entry in mappings if entry.startswith("in:")]
    ports.require_free("the port forward to the node", host_ports)
    proxy_env = network.proxy_variables(os.environ) if name == MAIN else {}
    env = process.environment(name, paths.instance, proxy_env)
    log = paths.log(name)
    alive = [ALIVE + _socket_name(name)] if name.startswith(MAIN) else []
    argv = _command(init, [*alive, *mappings])
    record = process.spawn(name, argv, env, cwd=paths.run, log=log, fingerprint="")
    listens = process.until(
        lambda: all(ports.owner(port) is not None for port in host_ports),
        record.identity.alive,
        30.0,
    )
    if not listens:
        raise _not_started(settings, name)
    return record


def _keep(forwarder: Record | None, init: Record, mappings: list[str]) -> bool:
    """Stop a forwarder with other mappings, or one that hangs; return whether it still runs.

    Only the arguments after the script are compared, because another installation of stepkube may
    have started the forwarder from another path.
    """
    if forwarder is None:
        return False
    words = tuple(word for word in forwarder.argv[2:] if not word.startswith(ALIVE))
    if words != _command(init, mappings)[2:] or _problem(forwarder):
        signals.stop(forwarder.identity)
    return forwarder.alive()


def _not_started(settings: Settings, name: str) -> Failure:
    log = settings.paths.log(name)
    return Failure(
        f"the port forward to the node ({name}) did not start\n{process.tail(log)}", f"read {log}"
    )


def _command(init: Record, mappings: list[str]) -> tuple[str, ...]:
    script = str(Path(__file__).with_name("forwarder.py"))
    return (sys.executable, script, f"/proc/{init.identity.pid}/ns/net", *mappings)


def _listens(init: Record, port: int) -> bool:
    """Return whether a process in the sandbox listens on a TCP port."""
    table = procfs.read(Path(f"/proc/{init.identity.pid}/net/tcp"))
    sockets = (line.split() for line in table.splitlines()[1:])
    return any(
        columns[1].endswith(f":{port:04X}") and columns[3] == LISTENING for columns in sockets
    )
