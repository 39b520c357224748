"""A real dual-stack cluster: pods, the node and services have an address of each family."""

import json
import os
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from tasks.runtime import sandbox
from tasks.system import process
from tasks.system.run import run
from tests.real.cluster import Cluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="a kubelet needs root"),
]
DUAL = {
    "START_MODE": "all",
    "SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/24,fd00:1::/112",
    "CLUSTER_CIDR": "10.1.0.0/16,fd00:2::/64",
}
LABELS = {"app": "dual"}
OBJECTS = [
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "dual", "labels": LABELS},
        "spec": {
            "containers": [
                {"name": "c", "image": "localhost/pause:stepkube", "imagePullPolicy": "Never"}
            ]
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "dual"},
        "spec": {
            "ipFamilyPolicy": "PreferDualStack",
            "selector": LABELS,
            "ports": [{"port": 80}],
        },
    },
]


@pytest.fixture(scope="module")
def dual(cluster: Cluster) -> Iterator[Cluster]:
    """Give a cluster with one range of each two, while its sandbox runs; and take it back."""
    cluster.doit("up", START_MODE="all")
    cluster.doit("up", env=DUAL)
    yield cluster
    cluster.kubectl("delete", "pod,service", "dual", "--grace-period=0", "--force")
    cluster.doit("down", START_MODE="all")
    cluster.doit("up")


def versions(addresses: list[str]) -> list[int]:
    return [ip_address(address).version for address in addresses]


def test_pods_nodes_and_services_have_both_families(dual: Cluster) -> None:
    file = dual.settings.paths.instance / "dual.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    dual.kubectl("apply", "-f", str(file))
    dual.kubectl("wait", "--for=condition=Ready", "pod/dual", "--timeout=120s")
    pod = json.loads(dual.kubectl("get", "pod", "dual", "-o", "json"))
    assert versions([each["ip"] for each in pod["status"]["podIPs"]]) == [4, 6]
    service = json.loads(dual.kubectl("get", "service", "dual", "-o", "json"))
    assert versions(service["spec"]["clusterIPs"]) == [4, 6]
    (node,) = json.loads(dual.kubectl("get", "nodes", "-o", "json"))["items"]
    found = [each for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    assert versions([each["address"] for each in found]) == [4, 6]


def test_kube_proxy_serves_both_families(dual: Cluster) -> None:
    service = json.loads(dual.kubectl("get", "service", "dual", "-o", "json"))
    init = process.load(dual.settings.paths.run, sandbox.INIT)
    assert init is not None
    for address in service["spec"]["clusterIPs"]:
        command = "ip6tables-save" if ":" in address else "iptables-save"
        enter = ("nsenter", f"--target={init.identity.pid}", "--net")

        def has_rules(
            argv: tuple[str, ...] = (*enter, command, "-t", "nat"), address: str = address
        ) -> bool:
            return f"-d {address}/" in run(*argv).stdout

        assert process.until(has_rules, lambda: True, 60.0)


def test_a_mistyped_flag_stops_nothing(dual: Cluster) -> None:
    before = dual.pids(), dual.record("kubelet").identity
    said = dual.doit("up", code=1, env=DUAL, KUBELET_FLAGS="--max-pod=5", LOG_LEVEL="4")
    assert "--max-pod" in said and "--max-pods?" in said and "KUBELET_FLAGS" in said
    assert (dual.pids(), dual.record("kubelet").identity) == before
