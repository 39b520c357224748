"""A toy that runs, and a Delve that is attached to it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import delve
from tasks.delve import Delve
from tests.support.debugged import Debugger, Toy, eventually, started
from tests.support.ports import free_port


@pytest.fixture
def running(toy: Path, tmp_path: Path) -> Iterator[Toy]:
    port, output = free_port(), tmp_path / "toy.log"
    with started([str(toy), f"--port={port}"], output) as process:
        program = Toy(process, port, output)
        eventually(program.calls, "the toy answers")
        yield program


@pytest.fixture
def debugger_env(tmp_path: Path) -> dict[str, str]:
    """Return an environment: Delve writes only to the test's folder and starts no monitor."""
    telemetry = tmp_path / "config" / "go" / "telemetry" / "mode"
    telemetry.parent.mkdir(parents=True)
    telemetry.write_text("off")
    return {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def attached(
    dlv: Path, running: Toy, tmp_path: Path, debugger_env: dict[str, str]
) -> Iterator[Debugger]:
    port, output = free_port(), tmp_path / "dlv.out"
    listen = f"127.0.0.1:{port}"
    argv = delve.attach_argv(dlv, running.pid, listen=listen, log=tmp_path / "dlv.log")
    with started(argv, output, env=debugger_env) as process:
        yield Debugger(process, port, output)


@pytest.fixture
def client(attached: Debugger) -> Iterator[Delve]:
    """Return a client of a Delve that is attached to the running toy."""
    with attached.connect() as connection:
        connection.wait_running(10)
        yield connection


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
