"""Client of the debugger Delve: command lines, JSON-RPC API, debugged processes in /proc."""

from tasks.delve.client import Delve
from tasks.delve.commands import attach_argv, exec_argv, paused, tracer, wait_ready
from tasks.delve.connection import DelveError, DelveTimeoutError
from tasks.delve.types import State

__all__ = [
    "Delve",
    "DelveError",
    "DelveTimeoutError",
    "State",
    "attach_argv",
    "exec_argv",
    "paused",
    "tracer",
    "wait_ready",
]
