"""The forwarders between the host and the sandbox: what of one can be reached from the other.

One forwarder leads the sandbox to kube-apiserver and the host to the ports the user forwards; a
component in the sandbox that has ports of its own has its own forwarder, so that the host's ports
are only taken while it runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tasks.components.forwarding import inward_mapping, mappings
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import network, ports, process, procfs, signals
from tasks.system.process import Record

MAIN = "sandbox-relay"
LISTENING = "0A"
"""State of a listening socket in /proc/PID/net/tcp, see proc(5)."""


def forwarder_name(name: str) -> str:
    """Return the name of a component's own forwarder."""
    return f"{MAIN}-{name}"


def ensure_main(settings: Settings, holder: Record) -> None:
    """See to it that the main forwarder runs as it is wanted now."""
    run, wanted = settings.paths.run, mappings(settings)
    if _kept(process.load(run, MAIN), holder, wanted):
        return
    made = start_forwarder(settings, holder, MAIN, wanted)
    process.save(run, made)
    port = settings.api.secure_port
    if not process.until(lambda: _listens(holder, port), made.identity.alive, 30.0, every=0.02):
        raise _not_started(settings, MAIN)


def expose_ports(settings: Settings, holder: Record, name: str) -> None:
    """Bring the ports of a component in the sandbox to the host's loopback."""
    run, own = settings.paths.run, forwarder_name(name)
    wanted = [inward_mapping(port) for port in COMPONENTS[name].exposed_ports(settings)]
    if not _kept(process.load(run, own), holder, wanted) and wanted:
        process.save(run, start_forwarder(settings, holder, own, wanted))


def close_ports(settings: Settings, name: str) -> None:
    """Give the host's ports of a component that was stopped back."""
    record = process.load(settings.paths.run, forwarder_name(name))
    if record is not None:
        signals.stop(record.identity)
        process.forget(settings.paths.run, record.component)


def start_forwarder(settings: Settings, holder: Record, name: str, wanted: list[str]) -> Record:
    """Start a forwarder and wait until it listens on the host. Raises Failure with its log."""
    paths = settings.paths
    inside = [int(words.split(":")[2]) for words in wanted if words.startswith("in:")]
    ports.require_free("the forwarder to the node", inside)
    world = network.proxy_variables(os.environ) if name == MAIN else {}
    env = process.environment(name, paths.instance, world)
    log = paths.log(name)
    argv = _command(holder, wanted)
    record = process.spawn(name, argv, env, cwd=paths.run, log=log, fingerprint="")
    up = process.until(
        lambda: all(ports.owner(port) is not None for port in inside), record.identity.alive, 30.0
    )
    if not up:
        raise _not_started(settings, name)
    return record


def _kept(forwarder: Record | None, holder: Record, wanted: list[str]) -> bool:
    """Tell whether a forwarder runs on; one that connects other things is stopped.

    Another checkout may have started it from another path: what follows the script is compared.
    """
    if forwarder is None:
        return False
    if forwarder.argv[2:] != _command(holder, wanted)[2:]:
        signals.stop(forwarder.identity)
    return forwarder.alive()


def _not_started(settings: Settings, name: str) -> Failure:
    log = settings.paths.log(name)
    return Failure(f"the forwarder to the node did not start\n{process.tail(log)}", f"read {log}")


def _command(holder: Record, wanted: list[str]) -> tuple[str, ...]:
    script = str(Path(__file__).with_name("forwarder.py"))
    return (sys.executable, script, f"/proc/{holder.identity.pid}/ns/net", *wanted)


def _listens(holder: Record, port: int) -> bool:
    """Tell whether anybody in the sandbox listens on a TCP port."""
    table = procfs.read(Path(f"/proc/{holder.identity.pid}/net/tcp"))
    sockets = (line.split() for line in table.splitlines()[1:])
    return any(words[1].endswith(f":{port:04X}") and words[3] == LISTENING for words in sockets)
