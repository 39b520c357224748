"""The command lines of Delve, and the wait until it answers, with a real Delve."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tasks import delve
from tasks.delve import Delve, DelveError, DelveTimeoutError
from tests.support.debugged import Debugger, Toy, eventually, healthz, started, traced
from tests.support.ports import free_port
from tests.support.stops import clients, wait_stop

AWKWARD = ["(a|b)", "$HOME", "two  blanks", "", 'it\'s "quoted"', "--x=", "a\tb\n", "é\udcff", "--"]


def test_client_count_and_paused_are_read_from_proc(running: Toy, attached: Debugger) -> None:
    with attached.connect() as first:
        first.wait_running(10)
        eventually(lambda: clients(attached.port) == 1, "Delve's own client has left")
        assert not delve.paused(running.pid)
        with Delve(attached.address):
            assert clients(attached.port) == 2
        first.halt()
        assert delve.paused(running.pid)
        first.resume()
        eventually(lambda: not delve.paused(running.pid), "it runs again")
    eventually(lambda: clients(attached.port) == 0, "all clients have left")
    assert clients(free_port()) == 0


def test_an_exited_process_is_neither_paused_nor_traced() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert not delve.paused(process.pid)
    assert delve.tracer(process.pid) == 0


def test_exec_passes_arguments_environment_and_folder(
    dlv: Path, toy: Path, tmp_path: Path, debugger_env: dict[str, str]
) -> None:
    port, folder = free_port(), tmp_path / "a folder (with $signs)"
    folder.mkdir()
    args = [f"--port={port}", *AWKWARD]
    env = {"EMPTY": "", "ODD": "a=b $HOME", "PWD": str(folder)}
    env["XDG_CONFIG_HOME"] = debugger_env["XDG_CONFIG_HOME"]
    debugger_port, log = free_port(), tmp_path / "dlv.log"
    argv = delve.exec_argv(dlv, toy, args, listen=f"127.0.0.1:{debugger_port}", log=log, cwd=folder)
    with started(argv, tmp_path / "toy.log", env=env) as process:
        debugger = Debugger(process, debugger_port, tmp_path / "toy.log")
        with debugger.connect() as client:
            client.wait_running(10)
            eventually(lambda: healthz(port), "the toy answers")
            child = traced(process.pid)
            proc = Path(f"/proc/{child.pid}")
            assert (proc / "cmdline").read_bytes().split(b"\0")[:-1] == [
                os.fsencode(word) for word in [str(toy), *args]
            ]
            assert (proc / "cwd").readlink() == folder
            environ = dict(
                line.split(b"=", 1) for line in (proc / "environ").read_bytes().split(b"\0")[:-1]
            )
            assert environ == {
                **{os.fsencode(key): os.fsencode(value) for key, value in env.items()},
                b"CGO_CFLAGS": b"-O0 -g",
            }
            child.terminate()
            with pytest.raises(DelveError, match="exited with status 0"):
                wait_stop(client, 10)
    assert "bye" in debugger.output.read_text()
    assert "API server listening" in log.read_text()
    assert "API server listening" not in debugger.output.read_text()


def test_exec_can_pause_a_program_before_main(
    dlv: Path, toy: Path, tmp_path: Path, debugger_env: dict[str, str]
) -> None:
    debugger_port, output = free_port(), tmp_path / "toy.log"
    argv = delve.exec_argv(
        dlv,
        toy,
        [],
        listen=f"127.0.0.1:{debugger_port}",
        log=tmp_path / "dlv.log",
        cwd=tmp_path,
        stop_at_entry=True,
        check_go_version=False,
    )
    with started(argv, output, env=debugger_env) as process:
        with Debugger(process, debugger_port, output).connect() as client:
            assert not client.state().running
            child = traced(process.pid)
            assert delve.paused(child.pid)
            client.break_at(function="main.main")
            client.resume()
            assert wait_stop(client, 10).function == "main.main"
            client.detach(kill=True)
        assert process.wait(10) == 0
    assert not child.is_running()


def test_a_delve_that_exits_is_reported_with_its_output(
    dlv: Path, tmp_path: Path, debugger_env: dict[str, str]
) -> None:
    with subprocess.Popen(["true"]) as exited:
        exited.wait()
    port, output = free_port(), tmp_path / "dlv.out"
    argv = delve.attach_argv(dlv, exited.pid, listen=f"127.0.0.1:{port}", log=tmp_path / "dlv.log")
    begin = time.monotonic()
    with (
        started(argv, output, env=debugger_env) as process,
        pytest.raises(DelveError, match=rf"exited .*could not attach to pid {exited.pid}: no such"),
    ):
        Debugger(process, port, output).connect(60)
    assert time.monotonic() - begin < 50


def test_a_listening_delve_is_not_ready_yet(silent: str) -> None:
    with pytest.raises(DelveTimeoutError, match=r"0\.3 s"):
        delve.wait_ready(silent, 0.3, lambda: True)
    with pytest.raises(DelveError, match=r"exited before .*: it was killed"):
        answers = iter([True, True, False])
        delve.wait_ready(silent, 60, lambda: next(answers, False), lambda: "it was killed\n")


def test_connecting_fails_if_no_process_listens() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(DelveError, match=rf"cannot connect .*{address}"):
        Delve(address)
    with pytest.raises(DelveTimeoutError, match=r"0\.1 s"):
        delve.wait_ready(address, 0.1, lambda: True)


def test_command_lines() -> None:
    common = [
        "--headless",
        "--listen=127.0.0.1:39999",
        "--api-version=2",
        "--accept-multiclient",
        "--log-dest=/run/dlv.log",
    ]
    dlv, listen, log = Path("/bin/dlv"), "127.0.0.1:39999", Path("/run/dlv.log")
    assert delve.attach_argv(dlv, 7, listen=listen, log=log) == [
        *("/bin/dlv", "attach", "7"),
        *common,
        "--continue",
    ]
    binary, cwd = Path("/bin/kubelet"), Path("/srv")
    assert delve.exec_argv(dlv, binary, ["--v=2", "--"], listen=listen, log=log, cwd=cwd) == [
        *("/bin/dlv", "exec", "/bin/kubelet"),
        *common,
        "--wd=/srv",
        "--continue",
        "--",
        *("--v=2", "--"),
    ]
    at_entry = delve.exec_argv(
        dlv, binary, [], listen=listen, log=log, cwd=cwd, stop_at_entry=True, check_go_version=False
    )
    assert "--continue" not in at_entry
    assert "--check-go-version=false" in at_entry
