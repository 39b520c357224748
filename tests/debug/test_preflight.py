import os
import shlex
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import Failure
from tasks.debug import journal, preflight, swap
from tasks.debug import tasks as debug
from tasks.settings import load
from tasks.system import firewall, process, procfs
from tests.support import toycluster
from tests.support.toyswap import current

OPTIONS: dict[str, Any] = {
    "mode": "attach",
    "stop_at_entry": False,
    "wait_client": False,
    "listen": "",
    "allow_remote": False,
    "open_firewall": False,
    "any_user": False,
}


@pytest.mark.parametrize(
    ("text", "remote", "address"),
    [
        ("", False, "127.0.0.1:1"),
        ("2345", False, "127.0.0.1:2345"),
        ("localhost:2345", False, "127.0.0.1:2345"),
        ("127.0.0.2:2345", False, "127.0.0.2:2345"),
        ("[::1]:2345", False, "[::1]:2345"),
        (":2345", True, "0.0.0.0:2345"),
        ("10.211.55.3:39999", True, "10.211.55.3:39999"),
    ],
)
def test_addresses_delve_may_listen_on(text: str, remote: bool, address: str) -> None:
    assert preflight.listen_address(text, "127.0.0.1:1", allow_remote=remote) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (":39999", ["no password", "--allow-remote", "ssh -NL 39999"]),
        ("10.0.0.1:39999", ["10.0.0.1", "--allow-remote"]),
        ("nowhere.example:1", ["not an IP address"]),
        ("127.0.0.1:70000", ["'70000' is not a port"]),
        ("127.0.0.1:", ["is not a port"]),
    ],
)
def test_addresses_that_are_refused(text: str, words: list[str]) -> None:
    with pytest.raises(Failure) as caught:
        preflight.listen_address(text, "127.0.0.1:1", allow_remote=False)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"stop_at_entry": True}, "--mode exec"),
        ({"open_firewall": True}, "--allow-remote"),
        ({"listen": ":1"}, "--allow-remote"),
    ],
)
def test_options_that_make_no_sense_together(
    tmp_path: Path, options: dict[str, bool], word: str
) -> None:
    made = load.load({"STEPKUBE_HOME": str(tmp_path)})
    said = str(debug.debug(made, "kubelet", **{**OPTIONS, **options}))
    assert word in said and "fix:" in said
    assert journal.load(made, "kubelet") is None


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a firewall-cmd on PATH that writes down how it was called."""
    log, folder = tmp_path / "calls", tmp_path / "bin"
    folder.mkdir()
    script = folder / "firewall-cmd"
    script.write_text(f'#!/bin/sh\necho running\necho "$@" >> {shlex.quote(str(log))}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return log


def test_the_firewall_is_opened_for_the_swap_and_closed_after_it(
    chosen: load.Settings, running: process.Record, commands: Path
) -> None:
    wanted = swap.request(chosen, "toy", "debug-attach")
    wanted = replace(wanted, firewall=firewall.close_command(wanted.port))
    toycluster.enter(chosen, wanted)
    assert f"--zone=public --add-port={wanted.port}/tcp" in commands.read_text()
    assert "--remove-port" not in commands.read_text()
    swap.leave(chosen, "toy")
    assert commands.read_text().splitlines()[-1] == (
        f"--zone=public --remove-port={wanted.port}/tcp"
    )
    assert current(chosen).identity == running.identity


def test_without_a_firewall_that_is_known_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Failure, match=r"firewalld, ufw, nftables"):
        firewall.close_command(39999)


def test_another_user_is_let_in_only_when_asked(
    chosen: load.Settings, running: process.Record
) -> None:
    wanted = replace(swap.request(chosen, "toy", "debug-attach"), any_user=True)
    toycluster.enter(chosen, wanted)
    held = swap.load(chosen, "toy")
    assert held is not None and held.debugger is not None
    assert "--only-same-user=false" in procfs.argv_of(held.debugger.pid)
    swap.leave(chosen, "toy")
    toycluster.enter(chosen, replace(wanted, any_user=False))
    held = swap.load(chosen, "toy")
    assert held is not None and held.debugger is not None
    assert "--only-same-user=false" not in procfs.argv_of(held.debugger.pid)


def test_a_kernel_that_forbids_ptrace_refuses_a_swap(
    chosen: load.Settings,
    running: process.Record,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scope = tmp_path / "ptrace_scope"
    scope.write_text("1\n")
    monkeypatch.setattr(preflight, "YAMA", scope)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Failure) as caught:
        toycluster.enter(chosen, swap.request(chosen, "toy", "debug-attach"))
    assert "ptrace_scope" in caught.value.message
    assert "--mode exec" in caught.value.hint
    assert current(chosen).identity == running.identity
    assert journal.load(chosen, "toy") is None
    scope.write_text("0\n")
    toycluster.enter(chosen, swap.request(chosen, "toy", "debug-attach"))
