"""The control plane on the host connects to pods and services, and nothing leaves the machine."""

import base64
import ipaddress
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.addons import oci
from tasks.certs import pki
from tasks.certs.certificates import Certificate
from tasks.components.connections import sandbox_networks
from tasks.runtime import connector, connectors
from tasks.system import files, process, procfs
from tests.real import host
from tests.real.cluster import CONTROL_PLANE, Cluster
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="a kubelet needs root"),
]

HERE = Path(__file__).parent
IMAGE = "stepkube.test/pod:1"
POD = "/api/v1/namespaces/default/pods/server:8080/proxy/"
SERVICE = "/api/v1/namespaces/default/services/server:80/proxy/"
GROUP = "/apis/stepkube.test/v1"
IPV4, OUTGOING = 0x0800, 4
"""ETH_P_IP, and PACKET_OUTGOING of packet(7)."""


@dataclass(frozen=True)
class Extended:
    """A cluster with the pods of connections.yaml, and the certificate of its extension."""

    cluster: Cluster
    authority: pki.Pair
    server: pki.Pair

    def doit(self, *words: str, code: int = 0) -> str:
        return self.cluster.doit(*words, code=code, START_MODE="all")

    def apply(self, value: dict[str, Any], folder: Path) -> None:
        manifest = folder / f"{value['kind']}.json"
        files.write(manifest, json.dumps(value))
        self.cluster.kubectl("apply", f"--filename={manifest}")

    def answers(self, path: str, text: str) -> bool:
        out = self.cluster.kubectl_in_background("get", "--raw", path).communicate(timeout=240)[0]
        return str(out) == text

    @property
    def bundle(self) -> str:
        return base64.b64encode(self.authority.crt).decode()


def eventually(holds: Callable[[], bool], what: str) -> None:
    assert process.until(holds, lambda: True, 120.0, every=0.2), f"never: {what}"


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> dict[str, str]:
    cluster.doit("down", PRESERVE_ETCD="false")
    return host.snapshot(cluster.settings.name)


@pytest.fixture(scope="module")
def extended(
    cluster: Cluster,
    before: dict[str, str],
    program: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Extended]:
    authority = pki.issue(Certificate("ca", "tests", "authority"), None)
    names = ("extension.default.svc", "localhost")
    server = pki.issue(
        Certificate("own", names[0], "server", "ca", (), names, ("127.0.0.1",)), authority
    )
    made = Extended(cluster, authority, server)
    made.doit("up")
    folder = tmp_path_factory.mktemp("connections")
    oci.write(folder / "pod.tar", oci.Image(IMAGE, {"/bin/pod": program}, ["/bin/pod"], {}))
    made.doit("load", "--archive", str(folder / "pod.tar"))
    eventually(lambda: "default" in cluster.kubectl("get", "serviceaccounts"), "a namespace")
    for name, text in (("tls.crt", server.crt), ("tls.key", server.key)):
        files.write(folder / name, text.decode(), 0o600)
    pair = [f"--cert={folder / 'tls.crt'}", f"--key={folder / 'tls.key'}"]
    cluster.kubectl("create", "secret", "tls", "extension", *pair)
    cluster.kubectl("apply", f"--filename={HERE / 'connections.yaml'}")
    pods = ("pod/server", "pod/server-of-the-node", "pod/extension")
    cluster.kubectl("wait", "--for=condition=Ready", *pods, "--timeout=120s")
    yield made
    cluster.doit("down", PRESERVE_ETCD="false")


def test_a_pod_and_a_service_through_the_api(extended: Extended) -> None:
    name = f"stepkube-{extended.cluster.settings.name}\n"
    of_the_node = "/api/v1/namespaces/default/pods/server-of-the-node:18082/proxy/"
    eventually(lambda: extended.answers(POD, "server\n"), "the pod answers")
    eventually(lambda: extended.answers(SERVICE, "server\n"), "the service answers")
    eventually(lambda: extended.answers(of_the_node, name), "a pod with the node's network answers")


def test_an_aggregated_api_server_in_a_pod(extended: Extended, tmp_path: Path) -> None:
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.stepkube.test"},
        "spec": {
            "group": "stepkube.test",
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 10,
            "caBundle": extended.bundle,
            "service": {"name": "extension", "namespace": "default"},
        },
    }
    extended.apply(service, tmp_path)
    try:
        kubectl = extended.cluster.kubectl
        kubectl("wait", "--for=condition=Available", "apiservice/v1.stepkube.test")
        eventually(lambda: extended.answers(f"{GROUP}/name", "extension\n"), "the API answers")
    finally:
        extended.cluster.kubectl("delete", "apiservice", "v1.stepkube.test")


def webhook(extended: Extended, client: dict[str, Any]) -> dict[str, Any]:
    """Return a webhook that is asked about every new ConfigMap of the namespace `default`."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "stepkube-test"},
        "webhooks": [
            {
                "name": "extension.stepkube.test",
                "clientConfig": {"caBundle": extended.bundle, **client},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["serviceaccounts"],
                    }
                ],
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": 30,
            }
        ],
    }


def refused_by(extended: Extended, name: str) -> bool:
    """Return whether a new object is refused by the webhook that runs on a machine or pod."""
    words = ("create", "serviceaccount", "refused", "--dry-run=server")
    out = extended.cluster.kubectl_in_background(*words).communicate(timeout=240)[0]
    return f"refused by {name}" in out


@contextmanager
def registered(extended: Extended, client: dict[str, Any], folder: Path) -> Iterator[None]:
    extended.apply(webhook(extended, client), folder)
    try:
        yield
    finally:
        extended.cluster.kubectl("delete", "validatingwebhookconfiguration", "stepkube-test")


def test_a_webhook_in_a_pod(extended: Extended, tmp_path: Path) -> None:
    service = {"service": {"name": "extension", "namespace": "default", "path": "/webhook"}}
    with registered(extended, service, tmp_path):
        eventually(lambda: refused_by(extended, "extension"), "the webhook in the pod is asked")


def test_a_webhook_by_url_on_loopback(extended: Extended, program: Path, tmp_path: Path) -> None:
    for name, text in (("tls.crt", extended.server.crt), ("tls.key", extended.server.key)):
        files.write(tmp_path / name, text.decode(), 0o600)
    port = free_port()
    pair = [str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")]
    argv = [str(program), "extend", f"127.0.0.1:{port}", *pair]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as served:
        try:
            url = {"url": f"https://127.0.0.1:{port}/webhook"}
            with registered(extended, url, tmp_path):
                here = socket.gethostname()
                eventually(lambda: refused_by(extended, here), "the webhook on the host is asked")
        finally:
            served.terminate()


def test_the_network_of_the_host_is_unchanged(extended: Extended, before: dict[str, str]) -> None:
    assert extended.answers(POD, "server\n")
    now = host.snapshot(extended.cluster.settings.name)
    assert not host.difference(before, now).keys() & {*host.COMMANDS, "mounts"}


def test_every_client_of_the_control_plane_has_a_connector(extended: Extended) -> None:
    for name in CONTROL_PLANE[1:]:
        record = extended.cluster.record(name)
        assert procfs.argv_of(record.identity.pid) == record.argv
        assert connector.listener_number(record.identity.pid) is not None
        served = extended.cluster.record(connectors.connector_name(name))
        assert psutil.Process(served.identity.pid).net_connections() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_connector_that_a_signal_ended_is_started_again(extended: Extended, number: int) -> None:
    name = connectors.connector_name("kube-apiserver")
    served, old = extended.cluster.record("kube-apiserver"), extended.cluster.record(name)
    os.kill(old.identity.pid, number)
    rows = {row["name"]: row for row in json.loads(extended.doit("status", "-o", "json"))}
    assert rows["kube-apiserver"]["health"] == "not ready"
    assert name in rows["kube-apiserver"]["problem"]
    extended.doit("up")
    assert extended.cluster.record("kube-apiserver") == served
    assert extended.cluster.record(name).identity != old.identity
    assert extended.answers(POD, "server\n")


@pytest.mark.parametrize("mode", ["attach", "exec"])
def test_a_debugged_kube_apiserver_connects_too(extended: Extended, mode: str) -> None:
    name = connectors.connector_name("kube-apiserver")
    extended.doit("debug:kube-apiserver", "--mode", mode)
    eventually(lambda: extended.answers(SERVICE, "server\n"), "the service answers")
    os.kill(extended.cluster.record(name).identity.pid, signal.SIGKILL)
    extended.doit("up")
    eventually(lambda: extended.answers(POD, "server\n"), "the pod answers")
    extended.doit("undebug:kube-apiserver")
    eventually(lambda: extended.answers(SERVICE, "server\n"), "the service answers")


def test_without_a_sandbox_nothing_leaves_the_machine(extended: Extended) -> None:
    for name in ("kube-proxy", "kubelet", "containerd"):
        extended.doit(f"stop:{name}")
    # kube-proxy, kubelet and containerd are no longer configured: the sandbox stops with them
    sandbox = extended.cluster.record("sandbox").identity
    os.kill(sandbox.pid, signal.SIGKILL)
    assert process.until(lambda: not sandbox.alive(), lambda: True, 60.0)
    with sniffer(extended) as packets:
        for path in (POD, SERVICE):
            out = extended.cluster.kubectl("get", "--raw", path, code=1)
            assert "network is unreachable" in out
        assert packets() == []
    extended.doit("up")
    eventually(lambda: extended.answers(POD, "server\n"), "the pod answers again")
    extended.doit("down")


@contextmanager
def sniffer(extended: Extended) -> Iterator[Callable[[], list[bytes]]]:
    """Yield a function that returns the packets to the sandbox's networks that leave the host."""
    every = socket.htons(3)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, every) as sniffed:
        sniffed.setblocking(False)
        inside = [*map(ipaddress.ip_network, sandbox_networks(extended.cluster.settings))]

        def packets() -> list[bytes]:
            found = []
            with suppress(BlockingIOError):
                while True:
                    data, where = sniffed.recvfrom(65536)
                    target = ipaddress.ip_address(data[16:20])
                    if where[1:3] == (IPV4, OUTGOING) and any(target in one for one in inside):
                        found.append(data)
            return found

        yield packets


def test_down_leaves_nothing(extended: Extended, before: dict[str, str]) -> None:
    extended.doit("up")
    pids = [
        extended.cluster.record(connectors.connector_name(name)).identity
        for name in CONTROL_PLANE[1:]
    ]
    extended.doit("down")
    assert not any(identity.alive() for identity in pids)
    assert host.difference(before, host.snapshot(extended.cluster.settings.name)) == {}
