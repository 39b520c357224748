from pathlib import Path

import pytest

from tasks import launch, node, sandbox, settings
from tasks.components.base import Component, Health


def chosen(tmp_path: Path, **environ: str) -> settings.Settings:
    return settings.load({"STEPKUBE_HOME": str(tmp_path), **environ})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the programs of a pretended machine on which we are root."""
    programs = {"containerd", "runc", "iptables", "ip", "unshare", "nsenter"}
    monkeypatch.setattr(node.shutil, "which", lambda name: name if name in programs else None)
    monkeypatch.setattr(node.os, "geteuid", lambda: 0)
    return programs


def test_without_a_runtime_the_node_is_left_out_in_one_line(
    tmp_path: Path, machine: set[str]
) -> None:
    machine -= {"containerd", "runc"}
    assert node.components(chosen(tmp_path)) == []
    said = node.left_out(chosen(tmp_path))
    assert "kubelet and kube-proxy were left out" in said
    assert "containerd and runc" in said
    assert "apt-get install" in said
    assert "\n" not in said


def test_a_user_who_is_not_root_has_no_node(
    tmp_path: Path, machine: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.os, "geteuid", lambda: 1000)
    assert node.components(chosen(tmp_path)) == []
    assert "for want of root;" in node.left_out(chosen(tmp_path))


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("all", ["containerd", "kubelet", "kube-proxy"]),
        ("kubeletonly", ["containerd", "kubelet"]),
        ("nokubelet", []),
        ("nokubeproxy", ["containerd", "kubelet"]),
        ("nokubelet,nokubeproxy", []),
    ],
)
def test_the_start_mode_decides(
    tmp_path: Path, machine: set[str], mode: str, names: list[str]
) -> None:
    assert node.components(chosen(tmp_path, START_MODE=mode)) == names


def test_without_iptables_only_kube_proxy_is_left_out(tmp_path: Path, machine: set[str]) -> None:
    machine -= {"iptables"}
    assert node.components(chosen(tmp_path)) == ["containerd", "kubelet"]
    assert "kube-proxy was left out, for want of iptables" in node.left_out(chosen(tmp_path))
    machine |= {"nft"}
    other = chosen(tmp_path, KUBE_PROXY_MODE="nftables")
    assert node.components(other) == ["containerd", "kubelet", "kube-proxy"]
    assert node.left_out(other) == ""


def test_the_relay_knows_every_port_of_the_node(tmp_path: Path) -> None:
    given = {"KUBELET_READ_ONLY_PORT": "7255", "ENABLE_TRACING": "true"}
    stock = chosen(tmp_path)
    more = chosen(tmp_path, **given)
    plain, told = sandbox.mappings(stock), sandbox.mappings(more)
    assert set(told) - set(plain) == {
        "in:127.0.0.1:7255:127.0.0.1:7255", "out:127.0.0.1:4317:127.0.0.1:4317"
    }
    assert not set(plain) - set(told)


def test_a_control_group_of_the_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "CGROUPS", tmp_path)
    cases: list[tuple[dict[str, str], bool]] = [({"CGROUP_ROOT": "/mine"}, True), ({}, False)]
    for environ, stays in cases:
        mine = chosen(tmp_path, **environ)
        for top in (tmp_path / "cpu", tmp_path):
            (top / sandbox.cgroup(mine) / "kubepods/pod1").mkdir(parents=True)
        sandbox.remove_cgroups(mine)
        for top in (tmp_path / "cpu", tmp_path):
            assert (top / sandbox.cgroup(mine)).exists() is stays
            assert not (top / sandbox.cgroup(mine) / "kubepods").exists()


def test_a_state_of_another_policy_is_removed_before_the_start(tmp_path: Path) -> None:
    state = tmp_path / "cpu_manager_state"
    wanted = Component("kubelet", (), Health(""), states={state: '"policyName":"static"'})
    launch.prepare(wanted)
    for policy, stays in (("static", True), ("none", False)):
        state.write_text('{"policyName":"' + policy + '","defaultCpuSet":""}')
        launch.prepare(wanted)
        assert state.exists() is stays
