"""Address ranges that cannot work are refused before anything is built."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.check import ip_ranges
from tasks.check import tasks as check
from tasks.kubernetes import facts
from tasks.settings import load as settings

DUAL = "10.0.0.0/24,fd00:1::/112"
PODS = "10.1.0.0/16,fd00:2::/64"


def messages(minor: str, **environ: str) -> list[str]:
    made = settings.load({"STEPKUBE_HOME": "/workspace", **environ}, {}, Path(os.devnull))
    return [str(failure) for failure in ip_ranges.problems(made, facts.parse(minor))]


@pytest.mark.parametrize("minor", ["1.20", "1.21", "1.23", "1.36"])
def test_two_ranges_work_where_the_version_has_dual_stack(minor: str) -> None:
    assert messages(minor, SERVICE_CLUSTER_IP_RANGE=DUAL, CLUSTER_CIDR=PODS) == []
    assert messages(minor, SERVICE_CLUSTER_IP_RANGE=DUAL) == []
    assert messages(minor, CLUSTER_CIDR=PODS) == []


@pytest.mark.parametrize("minor", ["1.10", "1.15", "1.16", "1.19"])
@pytest.mark.parametrize("given", [{"SERVICE_CLUSTER_IP_RANGE": DUAL}, {"CLUSTER_CIDR": PODS}])
def test_two_ranges_are_refused_in_older_versions(minor: str, given: dict[str, str]) -> None:
    (message,) = messages(minor, **given)
    (variable,) = given
    assert variable in message and "1.20" in message and minor in message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/24,10.5.0.0/24"}, ["IPv4", "IPv6"]),
        ({"CLUSTER_CIDR": "fd00::/64,fd01::/64"}, ["CLUSTER_CIDR", "IPv4"]),
        ({"CLUSTER_CIDR": f"{PODS},10.9.0.0/16"}, ["CLUSTER_CIDR"]),
        ({"CLUSTER_CIDR": "10.1.0.0"}, ["CLUSTER_CIDR", "'10.1.0.0'", "10.0.0.0/24"]),
        ({"CLUSTER_CIDR": "10.1.0.0/16,fd00::/x"}, ["CLUSTER_CIDR", "'fd00::/x'"]),
        ({"SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/24,fd00::/64"}, ["fd00::/64", "108"]),
        ({"SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/8"}, ["10.0.0.0/8", "12"]),
        ({"SERVICE_CLUSTER_IP_RANGE": "10.0.0.1/32"}, ["10.0.0.1/32", "29"]),
        ({"FEATURE_GATES": "IPv6DualStack=false", "CLUSTER_CIDR": PODS}, ["IPv6DualStack"]),
        ({"STEPKUBE_NODE_ADDRESS": "10.99.0.1,fd99::1"}, ["STEPKUBE_NODE_ADDRESS", "two"]),
        ({"STEPKUBE_NODE_ADDRESS": "10.99.0.1,10.99.0.2"}, ["STEPKUBE_NODE_ADDRESS", "IPv6"]),
        ({"STEPKUBE_NODE_ADDRESS": "node"}, ["STEPKUBE_NODE_ADDRESS", "'node'"]),
        ({"STEPKUBE_NODE_ADDRESS": ""}, ["STEPKUBE_NODE_ADDRESS", "IP address"]),
        (
            {
                "SERVICE_CLUSTER_IP_RANGE": "fd00:1::/112,10.0.0.0/24",
                "FIRST_SERVICE_CLUSTER_IP": "fd00:1::1",
            },
            ["SERVICE_CLUSTER_IP_RANGE", "IPv6", "10.99.0.1", "node.address"],
        ),
        ({"NET_PLUGIN": "kubenet", "CLUSTER_CIDR": "10.1.0.0/16,fd00::/80"}, ["kubenet", "64"]),
    ],
)
def test_ranges_that_cannot_work_are_refused_by_name(
    given: dict[str, str], words: list[str]
) -> None:
    found = messages("1.20", **given)
    assert any(all(word in message for word in words) for message in found), found
    assert all("fix: " in message for message in found)


def test_the_first_range_contains_the_service_kubernetes() -> None:
    given = {"SERVICE_CLUSTER_IP_RANGE": DUAL, "FIRST_SERVICE_CLUSTER_IP": "fd00:1::1"}
    (message,) = messages("1.20", **given)
    assert "FIRST_SERVICE_CLUSTER_IP=10.0.0.1" in message
    assert messages("1.20", SERVICE_CLUSTER_IP_RANGE=DUAL, KUBE_DNS_SERVER_IP="fd00:1::a") == []


def test_services_can_be_ipv6_only_without_a_sandbox() -> None:
    given = {
        "SERVICE_CLUSTER_IP_RANGE": "fd00:1::/112",
        "FIRST_SERVICE_CLUSTER_IP": "fd00:1::1",
        "KUBE_DNS_SERVER_IP": "fd00:1::a",
        "ADVERTISE_ADDRESS": "fd00::5",
    }
    assert messages("1.30", **given, STEPKUBE_NODE_SANDBOX="false") == []
    assert "sandbox" in messages("1.30", **given)[0]


def test_a_kernel_without_ipv6_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ip_ranges, "KERNEL", Path("/no/such/folder"))
    (message,) = messages("1.20", CLUSTER_CIDR=PODS)
    assert "CLUSTER_CIDR" in message and "ipv6.disable" in message
    assert messages("1.20", CLUSTER_CIDR=PODS, START_MODE="nokubelet") == []


def test_all_settings_together_have_no_problem() -> None:
    given = {"SERVICE_CLUSTER_IP_RANGE": DUAL, "CLUSTER_CIDR": PODS}
    made = settings.load({"STEPKUBE_HOME": "/workspace", **given}, {}, Path(os.devnull))
    assert check.problems(made, facts.parse("1.20")) == []
