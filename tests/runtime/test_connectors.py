"""Processes under a connector: which of their connections lead into the sandbox."""

import errno
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tasks.cluster import liveness
from tasks.components import connections
from tasks.components.base import Component, Context
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.runtime import connect_filter, connector, connectors, processes, sandbox
from tasks.settings import load
from tasks.system import files, process, procfs, signals
from tasks.system.ports import Health
from tests.support.ports import free_port

NAME = "kube-scheduler"
ADDRESS = "10.77.0.1"
ENVIRON = {"SERVICE_CLUSTER_IP_RANGE": "10.77.0.0/24", "CLUSTER_CIDR": "10.78.0.0/16,fd77::/64"}
SERVER = """
import socket, subprocess, sys
for words in ("link set lo up", "address add 10.77.0.1/24 dev lo"):
    subprocess.run(["ip", *words.split()], check=True)
with socket.create_server(("10.77.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(sys.argv[1].encode())
"""
CLIENT = """
import asyncio, socket, sys
def blocking(address):
    with socket.create_connection(address, None) as client:
        return client.recv(100).decode()
async def waiting(address):
    reader, writer = await asyncio.open_connection(*address)
    return (await reader.read(100)).decode()
async def nothing():
    pass
loop = asyncio.new_event_loop()  # it connects two sockets before the first command
loop.run_until_complete(nothing())
print("ready", flush=True)
for line in open(sys.argv[1]):
    how, host, port = line.split()
    address = host, int(port)
    try:
        said = blocking(address) if how == "blocking" else loop.run_until_complete(waiting(address))
    except OSError as error:
        said = "error %d" % error.errno
    print(how, host, said, flush=True)
"""
needs_filter = pytest.mark.skipif(
    bool(connectors.why_impossible()), reason="needs root and seccomp of Linux 5.9"
)


@dataclass(frozen=True)
class Client:
    """A process under a connector that connects when it is told to."""

    settings: load.Settings
    record: process.Record
    commands: Path

    def tell(self, how: str, host: str, port: int) -> None:
        with self.commands.open("a") as stream:
            stream.write(f"{how} {host} {port}\n")

    def answer(self, how: str, host: str, port: int) -> str:
        """Return the answer to one connection."""
        before = len(self.lines())
        self.tell(how, host, port)
        assert process.until(lambda: len(self.lines()) > before, self.record.alive, 60.0, 0.01)
        return self.lines()[-1].removeprefix(f"{how} {host} ")

    def lines(self) -> list[str]:
        text = Path(self.record.log).read_text()
        return text[: text.rfind("\n") + 1].splitlines()

    def connector(self) -> process.Record:
        found = process.load(self.settings.paths.run, connectors.connector_name(NAME))
        assert found is not None
        return found


def chosen(home: Path, **environ: str) -> load.Settings:
    return load.load({"STEPKUBE_HOME": str(home), **ENVIRON, **environ})


@contextmanager
def inside(settings: load.Settings, text: str) -> Iterator[int]:
    """Run a server in a network namespace, recorded as the sandbox; yield its port."""
    argv = ["unshare", "--net", sys.executable, "-c", SERVER, text]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        identity = procfs.identify(server.pid)
        assert identity is not None
        record = process.Record(
            sandbox.INIT, identity, (), {}, "/", 0, sys.executable, 0.0, "", "/dev/null"
        )
        process.save(settings.paths.run, record)
        try:
            yield port
        finally:
            server.kill()


@contextmanager
def client(settings: load.Settings) -> Iterator[Client]:
    """Run a client under a connector."""
    run = settings.paths.run
    run.mkdir(parents=True)
    commands = run / "commands"
    os.mkfifo(commands)
    keep_open = os.open(commands, os.O_RDWR)
    argv = (sys.executable, "-c", CLIENT, str(commands))
    env = process.environment(NAME, settings.paths.instance, {})
    log = settings.paths.log(NAME)
    record = connectors.spawn(settings, NAME, argv, env, cwd=run, log=log, fingerprint="")
    try:
        made = Client(settings, record, commands)
        assert process.until(lambda: bool(made.lines()), record.alive, 60.0, 0.01), log.read_text()
        yield made
    finally:
        os.close(keep_open)
        signals.stop(record.identity, signals.KILL)
        connectors.stop(settings, NAME)


@needs_filter
@pytest.mark.parametrize("how", ["blocking", "waiting"])
def test_only_addresses_of_the_sandbox_lead_into_it(tmp_path: Path, how: str) -> None:
    made = chosen(tmp_path)
    with client(made) as asking, inside(made, "sandbox") as port:
        argv = procfs.argv_of(asking.record.identity.pid)
        assert argv == asking.record.argv and argv[1] == "-c"
        assert asking.record.alive()
        assert asking.answer(how, ADDRESS, port) == "sandbox"
        assert asking.answer(how, f"::ffff:{ADDRESS}", port) == "sandbox"
        assert asking.answer(how, ADDRESS, free_port()) == f"error {errno.ECONNREFUSED}"
        with socket.create_server(("127.0.0.1", 0)) as here:
            asking.tell(how, "127.0.0.1", here.getsockname()[1])
            connected, _ = here.accept()
            connected.close()


@needs_filter
def test_without_a_sandbox_its_addresses_are_unreachable(tmp_path: Path) -> None:
    made, unreachable = chosen(tmp_path), f"error {errno.ENETUNREACH}"
    with client(made) as asking:
        for address in (ADDRESS, "10.78.1.1", made.node.address, "fd77::1"):
            assert asking.answer("waiting", address, 1) == unreachable
        with inside(made, "sandbox") as port:
            assert asking.answer("waiting", ADDRESS, port) == "sandbox"
        assert asking.answer("blocking", ADDRESS, port) == unreachable


@needs_filter
def test_two_instances_use_the_same_addresses(tmp_path: Path) -> None:
    one, two = chosen(tmp_path / "one"), chosen(tmp_path / "two")
    with (
        client(one) as first,
        client(two) as second,
        inside(one, "first") as port,
        inside(two, "second") as other,
    ):
        assert first.answer("waiting", ADDRESS, port) == "first"
        assert second.answer("waiting", ADDRESS, other) == "second"


@needs_filter
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_broken_connector_is_replaced_and_no_call_is_lost(tmp_path: Path, number: int) -> None:
    made = chosen(tmp_path)
    with client(made) as asking, inside(made, "sandbox") as port:
        assert connectors.broken(made, asking.record) == {}
        old = asking.connector()
        os.kill(old.identity.pid, number)
        name = [connectors.connector_name(NAME)]
        assert process.until(
            lambda: [*connectors.broken(made, asking.record)] == name, lambda: True, 9
        )
        component = Component(NAME, asking.record.argv, Health(""))
        assert not liveness.works(made, component, asking.record)
        asking.tell("blocking", ADDRESS, port)
        assert [*connectors.repair(made, asking.record)] == name
        said = f"blocking {ADDRESS} sandbox"
        assert process.until(lambda: asking.lines()[-1] == said, asking.record.alive, 60.0, 0.01)
        assert connectors.broken(made, asking.record) == {}
        assert connectors.repair(made, asking.record) == {}
        assert not old.identity.alive()


@needs_filter
def test_a_connector_exits_with_its_process(tmp_path: Path) -> None:
    with client(chosen(tmp_path)) as asking:
        served = asking.connector().identity
        signals.stop(asking.record.identity, signals.KILL)
        assert process.until(lambda: not served.alive(), lambda: True, 60.0)


@needs_filter
def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    made, log = chosen(tmp_path), tmp_path / "log"
    with pytest.raises(Failure) as caught:
        connectors.spawn(made, NAME, ["/none"], {}, cwd=tmp_path, log=log, fingerprint="")
    assert "/none" in caught.value.message


@needs_filter
def test_a_process_of_an_earlier_release_needs_no_connector(tmp_path: Path) -> None:
    made = chosen(tmp_path)
    identity = procfs.identify(os.getpid())
    assert identity is not None
    record = process.Record(NAME, identity, (), {}, "/", 0, "", 0.0, "", "/dev/null")
    assert connectors.broken(made, record) == {}


def test_networks_are_those_that_only_the_sandbox_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connectors, "why_impossible", lambda: "")
    found = connectors.networks(chosen(tmp_path), NAME)
    assert found == (
        "10.77.0.0/24",
        "10.78.0.0/16",
        "fd77::/64",
        "10.99.0.1/32",
        "fd99:5eed::1/128",
    )
    for name in COMPONENTS:
        connects = name not in ("etcd", "containerd", "kubelet", "kube-proxy")
        assert bool(connectors.networks(chosen(tmp_path), name)) is connects, name
    assert connectors.networks(chosen(tmp_path, STEPKUBE_NODE_SANDBOX="false"), NAME) == ()
    monkeypatch.setattr(connectors, "why_impossible", lambda: "no seccomp")
    assert connectors.networks(chosen(tmp_path), NAME) == ()


@pytest.mark.parametrize("name", ["kube-apiserver", "kube-controller-manager", NAME])
def test_networks_are_part_of_the_fingerprint(tmp_path: Path, name: str) -> None:
    context = Context(chosen(tmp_path), facts.parse("1.20"), Path("/bin/x"))
    build = COMPONENTS[name].build
    without = replace(context, host_answers={"connections": connections.NO_SANDBOX})
    old = replace(context, host_answers={"connections": "needs Linux 5.9 or newer"})
    assert processes.fingerprint(build(context)) != processes.fingerprint(build(without))
    assert processes.fingerprint(build(old)) == processes.fingerprint(build(without))
    assert not any("Linux 5.9" in note for note in build(without).notes)
    assert any("Linux 5.9" in note for note in build(old).notes)


FORBIDDEN = """
import ctypes, runpy, sys
ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE: only CAP_SYS_PTRACE permits a copy of the listener
sys.argv = [sys.argv[1]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@needs_filter
@pytest.mark.skipif(not shutil.which("capsh"), reason="needs capsh")
@pytest.mark.parametrize("forbidden", [False, True])
def test_a_machine_that_forbids_the_copy_of_the_listener_has_no_connector(forbidden: bool) -> None:
    drop = ["--drop=cap_sys_ptrace"] if forbidden else []
    command = [sys.executable, "-c", FORBIDDEN, connect_filter.__file__]
    argv = ["capsh", *drop, "--", "-c", 'exec "$@"', "sh", *command]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert bool(done.returncode) is forbidden, done.stderr
    assert (os.strerror(errno.EPERM) in done.stderr) is forbidden
    assert "Traceback" not in done.stderr


WITHOUT_THREADS = """
import runpy, sys, threading
def refuse(_):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@needs_filter
def test_a_connector_without_a_free_thread_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandboxed = chosen(tmp_path)
    program = (sys.executable, "-I", "-S", "-c", WITHOUT_THREADS, connector.__file__)
    monkeypatch.setattr(connectors, "_CONNECTOR", program)
    with client(sandboxed) as connecting, inside(sandboxed, "inside") as port:
        assert connecting.answer("blocking", ADDRESS, port) == "inside"
        assert connecting.connector().alive()


def test_a_user_who_is_not_root_has_no_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert connectors.why_impossible() == connections.NO_SANDBOX


@pytest.mark.parametrize("text", ["127.0.0.1", "::1"])
def test_an_address_of_the_host_stays_with_the_host(text: str) -> None:
    assert connector.is_of_host(ipaddress.ip_address(text))
    assert not connector.is_of_host(ipaddress.ip_address("10.254.253.252"))


def test_name_servers_are_those_of_resolv_conf(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    assert connector.name_servers(file) == set()
    files.write(file, "# nameserver 1.1.1.1\nsearch a\nnameserver 10.0.0.2\nnameserver\n")
    assert connector.name_servers(file) == {"10.0.0.2"}


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02\x00\x00\x50\x0a", b"\x01\x00/run/x\0"])
def test_other_addresses_are_not_parsed(data: bytes) -> None:
    assert connector.parse(data) is None
