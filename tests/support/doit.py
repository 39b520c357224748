"""Runs of doit with the project's dodo.py, each in a process of its own.

A new Python needs half a second to import doit and all tasks. Here one process per test run
imports them, and forks for each run of doit; it is this module as a program.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import tasks
from tasks.settings.load import ROOT

Done = subprocess.CompletedProcess[str]
ENVIRON = dict(os.environ)
"""As it was before any test changed it for a while."""


def doit(home: Path, *words: str, **environ: str) -> Done:
    """Run doit in a workspace, without a configuration file."""
    env = {**os.environ, "STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull, **environ}
    return run_doit(words, env)


def run_doit(words: Sequence[str], env: Mapping[str, str]) -> Done:
    """Run doit in exactly this environment, as `python -m doit` does."""
    request = json.dumps({"words": words, "env": dict(env)}).encode()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        server = _server()
        socket.send_fds(server, [request], [out.fileno(), err.fileno()])
        code = int(server.recv(64))
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["doit", *words], code, out.read(), err.read())


@cache
def _server() -> socket.socket:
    """Start the process that forks; it ends with the last end of this socket."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        argv = [sys.executable, "-m", "tests.support.doit", str(there.fileno())]
        null = subprocess.DEVNULL
        fds = [there.fileno()]
        started = subprocess.Popen(argv, cwd=ROOT, env=ENVIRON, stdin=null, pass_fds=fds)

    def end() -> None:
        here.close()
        started.wait()

    atexit.register(end)
    return here


def serve(requests: socket.socket) -> None:
    """Fork for each request; return in the child, which then is a doit of its own."""
    while True:
        message, fds, _, _ = socket.recv_fds(requests, 1 << 20, 2)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            requests.close()
            request = json.loads(message)
            for target, fd in enumerate(fds, 1):
                os.dup2(fd, target)
                os.close(fd)
            os.environ.clear()
            os.environ.update(request["env"])
            sys.argv[1:] = request["words"]
            return
        for fd in fds:
            os.close(fd)
        _, status = os.waitpid(pid, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    from doit.__main__ import main

    for module in pkgutil.walk_packages(tasks.__path__, "tasks."):
        importlib.import_module(module.name)
    serve(socket.socket(fileno=int(sys.argv[1])))
    main()
