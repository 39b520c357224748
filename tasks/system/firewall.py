"""Opens and closes one port in the running firewall (firewalld, ufw or nftables)."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass

from tasks.core import console
from tasks.core.errors import Failure
from tasks.system.run import run


@dataclass(frozen=True)
class Kind:
    """A firewall and its commands; PORT in a command stands for the port number."""

    name: str
    running: tuple[tuple[str, ...], str]
    """A command, and the start of its output when the firewall runs."""
    open: tuple[str, ...]
    close: tuple[str, ...]


_NFTABLES = (sys.executable, "-m", "tasks.system.nftables")
KINDS = (
    Kind(
        "firewalld",
        (("firewall-cmd", "--state"), "running"),
        ("firewall-cmd", "--zone=public", "--add-port=PORT/tcp"),
        ("firewall-cmd", "--zone=public", "--remove-port=PORT/tcp"),
    ),
    Kind(
        "ufw",
        (("ufw", "status"), "Status: active"),
        ("ufw", "allow", "PORT/tcp"),
        ("ufw", "delete", "allow", "PORT/tcp"),
    ),
    Kind(
        "nftables",
        ((*_NFTABLES, "running"), "running"),
        (*_NFTABLES, "open", "PORT"),
        (*_NFTABLES, "close", "PORT"),
    ),
)
"""In this order: firewalld and ufw write nftables rules too.

The rule of firewalld is a run-time rule: a reload removes it, so it never becomes permanent.
"""


def close_command(port: int) -> tuple[str, ...]:
    """Return the command of the running firewall that closes a port.

    Raises Failure when no supported firewall runs.
    """
    return _with_port(_running().close, port)


def open_port(port: int) -> None:
    """Open a port in the running firewall and print the command."""
    _run_and_print(_with_port(_running().open, port))


def close_port(command: tuple[str, ...]) -> None:
    """Close a port with the command from close_command."""
    try:
        _run_and_print(command)
    except Failure as failure:
        console.warn(f"the port may still be open: {failure.message}; run: {shlex.join(command)}")


def _running() -> Kind:
    for kind in KINDS:
        argv, output = kind.running
        if shutil.which(argv[0]) and run(*argv, check=False, timeout=10).stdout.startswith(output):
            return kind
    names = ", ".join(kind.name for kind in KINDS)
    raise Failure(
        f"no supported firewall is running ({names})",
        "leave out --open-firewall",
    )


def _with_port(command: tuple[str, ...], port: int) -> tuple[str, ...]:
    return tuple(argument.replace("PORT", str(port)) for argument in command)


def _run_and_print(command: tuple[str, ...]) -> None:
    console.say(f"  firewall: {shlex.join(command)}")
    run(*command, timeout=20)
