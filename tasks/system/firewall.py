"""Opens one port in the firewall that is running, and closes it again; only when asked to."""

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
    """A firewall: how to tell that it runs, and its commands; PORT stands for the number."""

    name: str
    running: tuple[tuple[str, ...], str]
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
"""In this order, as the first two write rules of nftables themselves.

The rule of firewalld is a run-time one: a reload forgets it, nothing stays behind for good.
"""


def closing(port: int) -> tuple[str, ...]:
    """Return the command that will close a port again, of the firewall that runs.

    Raises Failure when none of those known here runs.
    """
    return _words(_running().close, port)


def open_port(port: int) -> None:
    """Open a port, saying the command."""
    _do(_words(_running().open, port))


def close_port(command: tuple[str, ...]) -> None:
    """Close a port by the command that was noted when it was opened."""
    try:
        _do(command)
    except Failure as failure:
        console.warn(f"the port may still be open: {failure.message}; run: {shlex.join(command)}")


def _running() -> Kind:
    for kind in KINDS:
        argv, word = kind.running
        if shutil.which(argv[0]) and run(*argv, check=False, timeout=10).stdout.startswith(word):
            return kind
    names = ", ".join(kind.name for kind in KINDS)
    raise Failure(
        f"no firewall that could be opened runs here ({names} are known)",
        "leave --open-firewall out",
    )


def _words(command: tuple[str, ...], port: int) -> tuple[str, ...]:
    return tuple(word.replace("PORT", str(port)) for word in command)


def _do(command: tuple[str, ...]) -> None:
    console.say(f"  firewall: {shlex.join(command)}")
    run(*command, timeout=20)
