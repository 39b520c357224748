"""Addons on a real cluster, and a cloud-controller-manager beside it."""

import sys
from pathlib import Path

import pytest

from tasks.system import process
from tests.real.cluster import Cluster

pytestmark = pytest.mark.cluster

DNS = "deployments,services,configmaps,serviceaccounts"
CLOUD = "cloud-controller-manager"
# serves /healthz like one: by https, with a pair that lies beside its kubeconfig
PROGRAM = """#!{python}
import http.server, pathlib, ssl, sys
flags = dict(word.removeprefix("--").partition("=")[::2] for word in sys.argv[1:])
if "help" in flags:
    sys.exit()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()
server = http.server.HTTPServer((flags["bind-address"], int(flags["secure-port"])), Handler)
pair = pathlib.Path(flags["kubeconfig"]).parent / "serving-kube-apiserver.crt"
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(pair, pair.with_suffix(".key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def found(cluster: Cluster, *words: str) -> set[str]:
    """Return kind and name of the objects there are."""
    lines = cluster.kubectl("get", *words, "--output=name").split()
    return {line.replace(".apps", "").split(".k8s.io")[-1] for line in lines if "/" in line}


def asked(cluster: Cluster) -> int:
    """Return how often kubectl was run for addons."""
    return cluster.settings.paths.log("addons").read_text().count("$ kubectl")


def test_dns_and_a_storage_class_come_with_the_cluster(cluster: Cluster) -> None:
    cluster.doit("up")
    dns = found(cluster, DNS, "--namespace=kube-system")
    assert {
        "deployment/kube-dns",
        "service/kube-dns",
        "configmap/kube-dns",
        "serviceaccount/kube-dns",
    } <= dns
    address = "--output=jsonpath={.spec.clusterIP}"
    assert cluster.kubectl("get", "service/kube-dns", "-nkube-system", address) == "10.0.0.10"
    assert "standard (default)" in cluster.kubectl("get", "storageclass")
    cluster.kubectl("get", "clusterrolebinding", "kube-apiserver-kubelet-admin", "kubelet-csr")


def test_a_second_up_does_not_ask_for_them(cluster: Cluster) -> None:
    before = asked(cluster)
    assert "addons:" not in cluster.doit("up")
    assert asked(cluster) == before


def test_a_changed_setting_applies_one_addon_again(cluster: Cluster) -> None:
    before, pids = asked(cluster), cluster.pids()
    said = cluster.doit("up", KUBE_DNS_MEMORY_LIMIT="200Mi")
    assert "addons:dns" in said and "addons:storage-class" not in said
    assert asked(cluster) == before + 1
    assert cluster.pids() == pids
    limits = "--output=jsonpath={.spec.template.spec.containers[0].resources.limits}"
    assert "200Mi" in cluster.kubectl("get", "deployment/kube-dns", "-nkube-system", limits)


def test_another_dns_server_takes_the_place_of_the_first(cluster: Cluster) -> None:
    cluster.doit("up", "dns.addon=coredns", KUBE_DNS_SERVER_IP="10.0.0.53")
    dns = found(cluster, DNS, "--namespace=kube-system")
    assert {"deployment/coredns", "service/kube-dns", "configmap/coredns"} <= dns
    assert not {"deployment/kube-dns", "configmap/kube-dns", "serviceaccount/kube-dns"} & dns
    address = "--output=jsonpath={.spec.clusterIP}"
    assert cluster.kubectl("get", "service/kube-dns", "-nkube-system", address) == "10.0.0.53"


def test_addons_that_are_asked_for_come_and_go(cluster: Cluster) -> None:
    asked_for = {
        "KUBE_ENABLE_CLUSTER_DNS": "false",
        "KUBE_DEFAULT_STORAGE_CLASS": "false",
        "KUBE_ENABLE_CLUSTER_DASHBOARD": "true",
        "ENABLE_CSI_SNAPSHOTTER": "true",
        "KUBE_ENABLE_NODELOCAL_DNS": "true",
    }
    cluster.doit("up", env=asked_for)
    assert not {
        name for name in found(cluster, DNS, "--namespace=kube-system") if "kube-dns" in name
    } - {"service/kube-dns-upstream"}
    assert "No resources found" in cluster.kubectl("get", "storageclass")
    assert "deployment/kubernetes-dashboard" in found(cluster, "deployments", "--all-namespaces")
    assert "volumesnapshots" in cluster.kubectl("get", "customresourcedefinitions")
    cluster.kubectl("get", "daemonset/node-local-dns", "--namespace=kube-system")
    cluster.doit("up")
    assert found(cluster, "deployments", "--all-namespaces") == {"deployment/kube-dns"}
    assert "No resources found" in cluster.kubectl("get", "daemonsets", "--all-namespaces")
    assert "standard (default)" in cluster.kubectl("get", "storageclass")


def test_they_come_back_in_a_cluster_without_objects(cluster: Cluster) -> None:
    cluster.doit("down", PRESERVE_ETCD="false")
    cluster.doit("up")
    assert "deployment/kube-dns" in found(cluster, DNS, "--namespace=kube-system")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"KUBE_DNS_SERVER_IP": "10.9.0.10"}, "KUBE_DNS_SERVER_IP"),
        ({"EXTERNAL_CLOUD_PROVIDER": "true", "CLOUD_PROVIDER": "aws"}, "needs CLOUD_CONFIG"),
        ({"EXTERNAL_CLOUD_PROVIDER": "true"}, "aws, azure, gce, openstack, vsphere"),
        ({"CLOUD_PROVIDER": "openstack", "CLOUD_CONFIG": "/no/such"}, "(CLOUD_CONFIG): /no/such"),
    ],
)
def test_what_cannot_work_is_refused_first(
    cluster: Cluster, environ: dict[str, str], expected: str
) -> None:
    pids = cluster.pids()
    said = cluster.doit("up", code=1, env=environ)
    assert expected in said and "fix:" in said
    assert cluster.pids() == pids


def test_the_trees_own_cloud_controller_manager_says_why_it_ends(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "cloud.conf").write_text("[Global]\n")
    environ = {
        "EXTERNAL_CLOUD_PROVIDER": "true",
        "CLOUD_PROVIDER": "openstack",
        "CLOUD_CONFIG": str(tmp_path / "cloud.conf"),
    }
    said = cluster.doit("up", code=1, env=environ)
    assert f"{CLOUD} exited" in said
    assert "--cloud-provider cannot be empty" in said
    assert "is a sample" in said and "EXTERNAL_CLOUD_PROVIDER_BINARY" in said


def test_own_cloud_controller_manager_ends_with_its_option(
    cluster: Cluster, tmp_path: Path
) -> None:
    program, config = tmp_path / "ccm", tmp_path / "cloud.conf"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    config.write_text("[Global]\n")
    environ = {
        "EXTERNAL_CLOUD_PROVIDER": "true",
        "EXTERNAL_CLOUD_PROVIDER_BINARY": str(program),
        "CLOUD_PROVIDER": "nebula",
        "CLOUD_CONFIG": str(config),
    }
    said = cluster.doit("up", env=environ)
    assert f"build:{CLOUD}" not in said
    record = cluster.record(CLOUD)
    assert f"--cloud-config={config}" in record.argv
    (row,) = [line for line in cluster.doit("status", env=environ).splitlines() if CLOUD in line]
    port = cluster.settings.cloud_controller_manager.secure_port
    assert "normal" in row and "ok" in row and str(port) in row
    assert "--cloud-provider=external" in cluster.record("kube-controller-manager").argv
    assert f"{CLOUD} is no longer configured: stopped" in cluster.doit("up")
    assert not record.identity.alive()
    assert process.load(cluster.settings.paths.run, CLOUD) is None
