"""Opens Delve's ports in the host's firewall, and closes the ports that it opened."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from tasks.cli.task import action
from tasks.components import registry
from tasks.core import console
from tasks.core.errors import Failure
from tasks.host import file_changes
from tasks.settings.load import Settings
from tasks.system import files, firewall


@action
def open_all(settings: Settings, port: int, close: bool, dry_run: bool) -> None:
    """Open Delve's ports in the running firewall, or close the ports that were opened before."""
    home = settings.paths.home
    if not 0 <= port < 65536:
        raise Failure(f"--port: {port} is not a port", "use 1 to 65535, or omit it for all")
    port_numbers = (
        [port]
        if port
        else [registry.debug_port(settings, name) for name in registry.debug_offsets()]
    )
    with files.locked(home / "host.lock"):
        if close:
            return _close(home, [str(number) for number in port_numbers], dry_run)
        for number in port_numbers:
            try:
                close_argv = firewall.close_command(number)
            except Failure as failure:
                return console.say(f"no port was opened: {failure.message}")
            console.say(f"  {number}/tcp; to close it, run: {shlex.join(close_argv)}")
            if not dry_run:
                journal = file_changes.load(home)
                ports = {**journal.ports, str(number): close_argv}
                file_changes.save(home, replace(journal, ports=ports))
                firewall.open_port(number)
    return None


@action
def close_all(settings: Settings, dryrun: bool) -> None:
    """Close all ports that were opened."""
    home = settings.paths.home
    with files.locked(home / "host.lock"):
        _close(home, list(file_changes.load(home).ports), dryrun)


def _close(home: Path, ports: list[str], dry_run: bool) -> None:
    for port in ports:
        journal = file_changes.load(home)
        command = journal.ports.get(port)
        if command is None:
            console.say(f"  {port}/tcp was not opened by doit firewall")
        elif dry_run:
            console.say(f"  {shlex.join(command)}")
        else:
            firewall.close_port(command)
            still_open = {key: argv for key, argv in journal.ports.items() if key != port}
            file_changes.save(home, replace(journal, ports=still_open))
