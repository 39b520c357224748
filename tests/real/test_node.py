"""A real node: containerd, kubelet and kube-proxy in namespaces of their own."""

import json
import os
import ssl
from pathlib import Path
from urllib.request import urlopen

import pytest

from tasks import delve
from tasks.system import ports, process, procfs
from tests.real import host
from tests.real.cluster import Cluster
from tests.support.stops import wait_stop

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="a kubelet needs root"),
]

NODE = ("containerd", "kubelet", "kube-proxy")


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> dict[str, str]:
    return host.snapshot(cluster.settings.name)


def test_the_node_turns_ready(cluster: Cluster, before: dict[str, str]) -> None:
    said = cluster.doit("up", START_MODE="all")
    assert "node 127.0.0.1 is Ready" in said
    assert "Ready" in cluster.kubectl("get", "nodes", "--no-headers")
    for name in NODE:
        record = cluster.record(name)
        assert procfs.argv_of(record.identity.pid) == record.argv
        inside = Path(f"/proc/{record.identity.pid}/ns/net").readlink()
        assert inside != Path("/proc/self/ns/net").readlink()


def test_status_names_the_ports_that_the_host_reaches(cluster: Cluster) -> None:
    rows = json.loads(cluster.doit("status", "-o", "json", START_MODE="all"))
    found = {row["name"]: row["port"] for row in rows}
    assert (found["kube-apiserver"], found["kubelet"], found["kube-proxy"]) == (6443, 10250, 10256)


def test_the_kubelet_answers_kube_apiserver_through_the_relay(cluster: Cluster) -> None:
    certs = cluster.settings.paths.certs
    context = ssl.create_default_context(cafile=str(certs / "server-ca.crt"))
    pair = [certs / f"client-kube-apiserver.{end}" for end in ("crt", "key")]
    context.load_cert_chain(pair[0], pair[1])
    url = f"https://127.0.0.1:{cluster.settings.kubelet.port}/healthz"
    with urlopen(url, context=context, timeout=60) as answer:
        assert answer.read() == b"ok"


def test_a_breakpoint_in_the_kubelet(cluster: Cluster) -> None:
    before = cluster.record("kubelet")
    cluster.doit("debug:kubelet", START_MODE="all")
    function = "k8s.io/kubernetes/pkg/kubelet.(*Kubelet).HandlePodAdditions"
    with delve.Delve("127.0.0.1:39993") as client:
        client.halt()
        point = client.break_at(function=function)
        client.resume()
        cluster.kubectl("run", "probe", "--image=none.invalid/none", "--restart=Never")
        assert wait_stop(client, 120).function == function
        client.clear(point.id)
        client.resume()
    cluster.doit("undebug:kubelet", START_MODE="all")
    assert cluster.record("kubelet").identity == before.identity
    cluster.kubectl("delete", "pod", "probe", "--force", "--grace-period=0")


@pytest.mark.parametrize(
    ("name", "port", "function"),
    [
        ("kubelet", 39993, "k8s.io/kubernetes/pkg/kubelet.(*Kubelet).HandlePodAdditions"),
        ("kube-proxy", 39991, "k8s.io/kubernetes/pkg/proxy/iptables.(*Proxier).OnServiceAdd"),
    ],
)
def test_the_node_under_delve_from_the_start(
    cluster: Cluster, name: str, port: int, function: str
) -> None:
    before = cluster.record(name)
    raw = Path(f"/proc/{before.identity.pid}/cmdline").read_bytes()
    inside = {kind: namespace(before, kind) for kind in ("net", "mnt", "pid", "uts", "ipc")}
    cluster.doit(f"debug:{name}", "--mode", "exec", START_MODE="all")
    held = cluster.record(name)
    assert held.identity != before.identity
    assert Path(f"/proc/{held.identity.pid}/cmdline").read_bytes() == raw
    assert {kind: namespace(held, kind) for kind in inside} == inside
    with delve.Delve(f"127.0.0.1:{port}") as client:
        client.halt()
        point = client.break_at(function=function)
        client.resume()
        cluster.kubectl("run", f"{name}-probe", "--image=none.invalid/none", "--restart=Never")
        cluster.kubectl("expose", "pod", f"{name}-probe", "--port=80")
        assert wait_stop(client, 120).function == function
        client.clear(point.id)
        client.resume()
    cluster.doit(f"undebug:{name}", START_MODE="all")
    after = cluster.record(name)
    assert Path(f"/proc/{after.identity.pid}/cmdline").read_bytes() == raw
    assert {kind: namespace(after, kind) for kind in inside} == inside
    assert ports.owner(port) is None
    cluster.kubectl("delete", "service,pod", f"{name}-probe", "--force", "--grace-period=0")


def namespace(record: process.Record, kind: str) -> str:
    return str(Path(f"/proc/{record.identity.pid}/ns/{kind}").readlink())


def test_down_leaves_the_host_as_it_was(cluster: Cluster, before: dict[str, str]) -> None:
    records = [cluster.record(name) for name in NODE]
    cluster.doit("down")
    for record in records:
        assert not record.identity.alive(), record.component
    assert host.difference(before, host.snapshot(cluster.settings.name)) == {}
