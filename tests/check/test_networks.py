"""Which networks of the sandbox are named in a warning, because this machine uses them too."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from tasks.check import networks
from tasks.runtime import connectors
from tasks.settings import load
from tasks.system import files, routes

IPV4 = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	0000000A	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	0000FEA9	00000000	0001	0	0	0	0000FFFF	0	0	0
"""
IPV6 = f"""\
fd77{"0" * 28} 40 {"0" * 32} 00 {"0" * 32} 00000100 00000001 00000000 00000001     eth1
fe80{"0" * 28} 40 {"0" * 32} 00 {"0" * 32} 00000100 00000001 00000000 00000001     eth1
{"0" * 31}1 80 {"0" * 32} 00 {"0" * 32} 00000100 00000001 00000000 00000001       lo
{"0" * 32} 00 {"0" * 32} 00 {"0" * 32} 00000400 00000001 00000000 00000001     eth1
"""
ROUTES = [("192.0.2.0/24", "eth0"), ("10.0.0.0/16", "tun0"), ("fd77::/64", "eth1")]


def test_routes_are_read_from_the_tables_of_the_kernel(tmp_path: Path) -> None:
    files.write(tmp_path / "route", IPV4)
    files.write(tmp_path / "ipv6_route", IPV6)
    found = [(str(network), device) for network, device in routes.networks(tmp_path)]
    assert found == ROUTES
    assert list(routes.networks(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"SERVICE_CLUSTER_IP_RANGE": "10.9.0.0/16"}, []),
        ({"SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/24"}, ["SERVICE_CLUSTER_IP_RANGE"]),
        ({"SERVICE_CLUSTER_IP_RANGE": "10.0.0.0/24", "STEPKUBE_NODE_SANDBOX": "false"}, []),
        (
            {"SERVICE_CLUSTER_IP_RANGE": "10.9.0.0/16", "CLUSTER_CIDR": "10.8.0.0/16,fd00::/8"},
            ["CLUSTER_CIDR"],
        ),
        (
            {"SERVICE_CLUSTER_IP_RANGE": "10.9.0.0/16", "STEPKUBE_NODE_ADDRESS": "192.0.2.77"},
            ["STEPKUBE_NODE_ADDRESS"],
        ),
    ],
)
def test_networks_that_this_machine_uses_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], names: list[str]
) -> None:
    used = [(ip_network(network), device) for network, device in ROUTES]
    monkeypatch.setattr(routes, "networks", lambda: used)
    monkeypatch.setattr(connectors, "why_impossible", lambda: "")
    chosen = load.load({"STEPKUBE_HOME": str(tmp_path), **environ}, {}, Path(os.devnull))
    warnings = list(networks.warnings(chosen))
    assert len(warnings) == len(names)
    for name, warning in zip(names, warnings, strict=True):
        assert name in warning and any(device in warning for _, device in ROUTES)
    monkeypatch.setattr(connectors, "why_impossible", lambda: "needs root")
    assert list(networks.warnings(chosen)) == []
