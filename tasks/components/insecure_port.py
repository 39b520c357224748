"""Insecure http port of kube-apiserver up to 1.19: its flags, its number and its warning."""

from __future__ import annotations

from tasks.components.base import Context
from tasks.components.command_line import Flags
from tasks.settings.addresses import url


def flags(context: Context) -> Flags:
    """Return the flags of the port; they close it, unless api.port is set."""
    api = context.settings.api
    by_support: dict[str, Flags] = {
        "open": {"insecure-bind-address": api.host_ip, "insecure-port": api.port},
        "zero": {"insecure-port": 0},
        "gone": {},
    }
    return by_support[context.facts.insecure_port]


def ports(context: Context) -> tuple[int, ...]:
    """Return the port, or nothing if it is closed."""
    port = context.settings.api.port
    return (port,) if context.facts.insecure_port == "open" and port else ()


def warnings(context: Context) -> tuple[str, ...]:
    """Return a line that says who can use the open port; nothing if it is closed."""
    host = context.settings.api.host_ip
    return tuple(
        f"api.port: every client of {url('http', host, port)} is cluster administrator; to close"
        " this port, set API_PORT=0"
        for port in ports(context)
    )
