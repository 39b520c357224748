"""Client of the debugger Delve: command lines, JSON-RPC API, debugged processes in /proc."""

from tasks.delve.client import Delve
from tasks.delve.commands import attach_argv, client_count, exec_argv, paused, tracer, wait_ready
from tasks.delve.connection import DelveError, DelveTimeoutError
from tasks.delve.types import Breakpoint, Frame, State, Stop, Variable, Version

__all__ = [
    "Breakpoint",
    "Delve",
    "DelveError",
    "DelveTimeoutError",
    "Frame",
    "State",
    "Stop",
    "Variable",
    "Version",
    "attach_argv",
    "client_count",
    "exec_argv",
    "paused",
    "tracer",
    "wait_ready",
]
