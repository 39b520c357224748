"""From an empty workspace to a breakpoint in a real kube-apiserver, with the commands of a user."""

import socket
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tasks import delve
from tasks.debug import attach
from tasks.system import ports, procfs, signals
from tests.real.cluster import CONTROL_PLANE, Cluster
from tests.support.stops import wait_stop

pytestmark = pytest.mark.cluster

PREPARE = "k8s.io/kubernetes/pkg/registry/core/configmap.strategy.PrepareForCreate"


def test_up_from_an_empty_workspace(cluster: Cluster) -> None:
    said = cluster.doit("up")
    assert f"export KUBECONFIG={cluster.settings.paths.kubeconfig('admin')}" in said
    assert "doit debug:kube-apiserver" in said
    assert "v1.20.2" in said
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"
    for name in CONTROL_PLANE:
        record = cluster.record(name)
        assert procfs.argv_of(record.identity.pid) == record.argv
        assert str(cluster.settings.paths.log(name)) in said


def test_versions_are_stamped(cluster: Cluster) -> None:
    assert '"gitVersion": "v1.20.2"' in cluster.kubectl("get", "--raw", "/version")
    assert 'GitVersion:"v1.20.2"' in cluster.kubectl("version", "--client")


def test_everything_listens_on_loopback_only(cluster: Cluster) -> None:
    for name in CONTROL_PLANE:
        listening = psutil.Process(cluster.record(name).identity.pid).net_connections()
        for connection in listening:
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1"), (name, connection)


def test_a_second_up_touches_nothing(cluster: Cluster) -> None:
    before = cluster.pids()
    said = cluster.doit("up")
    assert cluster.pids() == before
    assert "build:" not in said and "start:" not in said


def test_an_edit_rebuilds_and_restarts_one_component(cluster: Cluster) -> None:
    before = cluster.pids()
    source = cluster.tree / "pkg" / "scheduler" / "scheduler.go"
    original = source.read_text()
    try:
        source.write_text(f"{original}\nvar editedByTest = 1\n")
        said = cluster.doit("up")
        after = cluster.pids()
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {"kube-scheduler"}
        assert "pkg/scheduler/scheduler.go" in said
        assert "build:kube-apiserver" not in said
    finally:
        source.write_text(original)
    said = cluster.doit("up")
    assert "kept from an earlier build" in said
    assert cluster.pids()["kube-apiserver"] == before["kube-apiserver"]


def test_a_killed_component_is_noticed_and_started_again(cluster: Cluster) -> None:
    before = cluster.pids()
    signals.stop(cluster.record("kube-scheduler").identity, ((9, 60.0),))
    assert "was killed by SIGKILL" in cluster.doit("status")
    cluster.doit("up")
    after = cluster.pids()
    assert {name for name in before if before[name] != after[name]} == {"kube-scheduler"}


def breakpoint_is_hit(cluster: Cluster, address: str, name: str) -> None:
    """Set a breakpoint by function name, hit it with kubectl, look around, go on."""
    with delve.Delve(address) as client:
        client.halt()
        point = client.break_at(function=PREPARE)
        client.resume()
        writer = cluster.kubectl_in_background("create", "configmap", name, "--from-literal=a=b")
        stop = wait_stop(client, 120)
        assert stop.breakpoint is not None and stop.breakpoint.id == point.id
        assert stop.function == PREPARE
        arguments = {one.name: one.value for one in client.arguments()}
        assert "ctx" in arguments
        assert name in arguments["obj"]
        frames = [frame.function for frame in client.stack(40)]
        assert frames[0] == PREPARE
        assert any("registry/generic/registry.(*Store).Create" in frame for frame in frames)
        assert not client.stack(3)[0].optimized
        assert "paused at" in cluster.doit("status")
        client.clear(point.id)
        client.resume()
        out, _ = writer.communicate(timeout=120)
        assert writer.returncode == 0, out
    assert f"configmap/{name}" in cluster.kubectl("get", "configmap", name, "--output=name")


def test_attach_leaves_the_process_alone(cluster: Cluster) -> None:
    pids, before = cluster.pids(), cluster.record("kube-apiserver")
    said = cluster.doit("debug:kube-apiserver")
    assert "127.0.0.1:39999" in said
    assert cluster.pids() == pids
    assert "debug-attach" in cluster.doit("status")
    assert "already" in cluster.doit("debug:kube-apiserver")
    breakpoint_is_hit(cluster, "127.0.0.1:39999", "attached")
    cluster.doit("up")
    assert cluster.record("kube-apiserver").mode == "debug-attach"
    cluster.doit("undebug:kube-apiserver")
    after = cluster.record("kube-apiserver")
    assert replace(after, mode="normal") == replace(before, mode="normal")
    assert after.mode == "normal"
    assert cluster.pids() == pids
    assert ports.owner(39999) is None
    assert "TracerPid:\t0" in Path(f"/proc/{after.identity.pid}/status").read_text()
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_exec_starts_it_again_with_the_same_bytes(cluster: Cluster) -> None:
    before, others = cluster.record("kube-apiserver"), cluster.pids()
    raw = Path(f"/proc/{before.identity.pid}/cmdline").read_bytes()
    env = procfs.environ_of(before.identity.pid)
    cluster.doit("debug:kube-apiserver", "--mode", "exec")
    held = cluster.record("kube-apiserver")
    assert held.identity != before.identity
    assert Path(f"/proc/{held.identity.pid}/cmdline").read_bytes() == raw
    added = procfs.environ_of(held.identity.pid).items() - env.items()
    assert {key for key, _ in added} <= attach.ADDED_BY_DELVE
    breakpoint_is_hit(cluster, "127.0.0.1:39999", "executed")
    cluster.doit("undebug:kube-apiserver")
    after = cluster.record("kube-apiserver")
    assert Path(f"/proc/{after.identity.pid}/cmdline").read_bytes() == raw
    assert procfs.environ_of(after.identity.pid) == env
    assert after.cwd == before.cwd
    del others["kube-apiserver"]
    assert {name: pid for name, pid in cluster.pids().items() if name in others} == others
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_a_busy_port_names_its_owner_and_the_next_up_carries_on(cluster: Cluster) -> None:
    cluster.doit("stop:kube-scheduler")
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", cluster.settings.scheduler.secure_port))
        holder.listen()
        said = cluster.doit("up", code=1)
        assert "port 10259 is in use by pid" in said
        assert "fix:" in said
    cluster.doit("up")
    cluster.pids()


def test_down_ends_everything_and_up_brings_the_objects_back(cluster: Cluster) -> None:
    cluster.kubectl("create", "configmap", "survivor")
    records = [cluster.record(name) for name in CONTROL_PLANE]
    cluster.doit("down")
    for record in records:
        assert not record.identity.alive(), record.component
    for port in (2379, 6443, 10257, 10259, 39999):
        assert ports.owner(port) is None
    cluster.doit("up")
    assert "survivor" in cluster.kubectl("get", "configmaps")
    cluster.doit("down", PRESERVE_ETCD="false")
    cluster.doit("up")
    assert "survivor" not in cluster.kubectl("get", "configmaps")


@pytest.mark.parametrize(
    ("words", "environ", "expected"),
    [
        (["build:kubelt"], {}, "build:kubelet"),
        (["checkout"], {"STEPKUBE_VERSION": "v1.99.9"}, "no origin has Kubernetes v1.99.9"),
        (["checkout"], {"STEPKUBE_ORIGIN_PATH": "/no/such/tree"}, "STEPKUBE_ORIGIN_PATH"),
        (["up"], {"API_SECURE_PORT": "https"}, "not a whole number"),
        (["up", "verison=v1.20.2"], {}, "did you mean version"),
    ],
)
def test_bad_input_ends_in_words(
    cluster: Cluster, words: list[str], environ: dict[str, str], expected: str
) -> None:
    code = 1 if words == ["checkout"] or words[0] == "up" else 3
    environ = {"STEPKUBE_INSTANCE": "other", **environ} if words == ["checkout"] else environ
    assert expected in cluster.doit(*words, code=code, env=environ)
