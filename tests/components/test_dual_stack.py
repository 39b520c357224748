"""Two address ranges reach every component that reads them, as a list."""

from __future__ import annotations

import json

import pytest
import yaml

from tasks.certs.certificates import certificates
from tasks.components import containerd, forwarding, kube_proxy, kubelet_config
from tests.support.builders import context, given

SERVICES, PODS = "10.0.0.0/24,fd00:1::/112", "10.1.0.0/16,fd00:2::/64"
DUAL = {"api__service_cluster_ip_range": SERVICES, "controller_manager__cluster_cidr": PODS}
GATED = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@pytest.mark.parametrize("component", GATED)
def test_the_gate_is_on_where_it_is_off_by_default(component: str) -> None:
    assert "IPv6DualStack=true" in given(component, "1.20", **DUAL)["feature-gates"]
    for minor in ("1.21", "1.23", "1.36"):
        assert "IPv6DualStack" not in given(component, minor, **DUAL)["feature-gates"]
    assert "IPv6DualStack" not in given(component, "1.20")["feature-gates"]


def test_kube_apiserver_gets_both_ranges_and_one_address() -> None:
    flags = given("kube-apiserver", "1.20", **DUAL)
    assert flags["service-cluster-ip-range"] == SERVICES
    assert flags["advertise-address"] == "10.99.0.1"


def test_the_kubelet_gets_both_addresses_of_the_node() -> None:
    assert given("kubelet", "1.20", **DUAL)["node-ip"] == "10.99.0.1,fd99:5eed::1"
    assert given("kubelet", "1.20")["node-ip"] == "10.99.0.1"
    own = {**DUAL, "node__address": "fd99::7,10.99.0.9"}
    assert given("kubelet", "1.20", **own)["node-ip"] == "10.99.0.9,fd99::7"
    six = {**DUAL, "node__address": "fd99::7"}
    assert given("kubelet", "1.20", **six)["node-ip"] == "10.99.0.1,fd99::7"
    cloud = {**DUAL, "start__external_cloud_provider": "true"}
    assert given("kubelet", "1.20", **cloud)["node-ip"] == "10.99.0.1"
    gates = yaml.safe_load(kubelet_config.configuration(context("kubelet", "1.20", **DUAL)))
    assert gates["featureGates"]["IPv6DualStack"] is True


def test_kube_proxy_gets_both_ranges_of_pods() -> None:
    made = kube_proxy.configuration(context("kube-proxy", "1.20", **DUAL), "iptables")
    read = yaml.safe_load(made)
    assert read["clusterCIDR"] == PODS
    assert read["featureGates"]["IPv6DualStack"] is True


def test_the_pod_network_has_a_range_and_a_route_of_each_family() -> None:
    made = context("containerd", "1.20", **DUAL).settings
    ipam = json.loads(containerd.network(made))["plugins"][0]["ipam"]
    assert ipam["ranges"] == [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:2::/64"}]]
    assert ipam["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    one = context("containerd", "1.20").settings
    ipam = json.loads(containerd.network(one))["plugins"][0]["ipam"]
    assert ipam["ranges"] == [[{"subnet": "10.1.0.0/16"}]]
    assert ipam["routes"] == [{"dst": "0.0.0.0/0"}]


def test_kubenet_gives_a_node_both_ranges() -> None:
    dual = {**DUAL, "node__net_plugin": "kubenet", "node__container_runtime": "docker"}
    assert given("kube-controller-manager", "1.20", **dual)["cluster-cidr"] == PODS


def test_certificates_have_every_address() -> None:
    made = {each.stem: each for each in certificates(context("etcd", "1.20", **DUAL).settings)}
    server, node = made["serving-kube-apiserver"].ips, made["serving-kubelet"].ips
    assert {"10.0.0.1", "fd00:1::1", "10.99.0.1", "fd99:5eed::1"} <= set(server)
    assert {"10.99.0.1", "fd99:5eed::1"} <= set(node)


def test_forwarded_ports_lead_to_one_address_of_the_node() -> None:
    made = context("etcd", "1.20", **DUAL, node__forward="30080").settings
    assert "in:127.0.0.1:30080:10.99.0.1:30080" in forwarding.mappings(made)


def test_blanks_around_the_ranges_do_not_reach_a_component() -> None:
    spaced = {"api__service_cluster_ip_range": " 10.0.0.0/24 , fd00:1::/112"}
    assert given("kube-apiserver", "1.20", **spaced)["service-cluster-ip-range"] == SERVICES
