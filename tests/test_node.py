from pathlib import Path

import pytest

from tasks import files, node, sandbox, settings
from tasks.failure import Failure


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


@pytest.mark.parametrize(
    ("version", "unified", "works"),
    [("v1.18.20", True, False), ("v1.19.0", True, True), ("v1.18.20", False, True)],
)
def test_an_old_kubelet_wants_the_first_kind_of_control_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, unified: bool, works: bool
) -> None:
    made = chosen(tmp_path)
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    files.write_json(made.paths.lock, {**lock, "tree": "/", "version": version})
    monkeypatch.setattr(sandbox, "CGROUPS", tmp_path / "cgroup")
    if unified:
        files.write(tmp_path / "cgroup/cgroup.controllers", "cpu memory")
    if works:
        node.require_cgroups(made)
        return
    with pytest.raises(Failure, match=r"from Kubernetes 1\.19 on, and this is v1\.18\.20") as said:
        node.require_cgroups(made)
    assert "START_MODE=nokubelet" in said.value.hint
