import os
import shutil
import signal
from pathlib import Path

import pytest

from tasks.cluster import tasks as cluster
from tasks.components import forwarding, kubelet
from tasks.components.base import Component
from tasks.components.registry import COMPONENTS
from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.runtime import port_forwards, prerequisites, processes, sandbox, sandbox_ipv6
from tasks.settings import load
from tasks.system import files, process, procfs, signals
from tasks.system.ports import Health
from tests.support.doit import doit
from tests.support.ports import free_port

CONTROL = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]


def chosen(tmp_path: Path, **environ: str) -> load.Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path), **environ})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the programs of a simulated machine; the tests run as its root."""
    programs = {"containerd", "runc", "iptables", "ip", "unshare", "nsenter"}
    monkeypatch.setattr(shutil, "which", lambda name: name if name in programs else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(procfs, "status", lambda *_: "000001ffffffffff")  # every capability
    return programs


def test_one_run_decides_once_about_the_node(tmp_path: Path, machine: set[str]) -> None:
    made = chosen(tmp_path)
    before = prerequisites.node_components(made)
    machine -= {"containerd", "iptables"}
    assert prerequisites.node_components(made) == before
    doit_run.begin()
    assert prerequisites.node_components(made) == []
    machine |= {"containerd", "iptables"}
    assert "containerd" in prerequisites.describe_not_started(made)


def test_root_without_capabilities_has_no_node(
    tmp_path: Path, machine: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "status", lambda *_: "00000000a80425fb")  # of docker run
    assert prerequisites.node_components(chosen(tmp_path)) == []
    text = prerequisites.describe_not_started(chosen(tmp_path))
    assert "CAP_SYS_ADMIN" in text and "--privileged" in text


def test_without_a_runtime_the_node_is_not_started(tmp_path: Path, machine: set[str]) -> None:
    machine -= {"containerd", "runc"}
    assert prerequisites.node_components(chosen(tmp_path)) == []
    text = prerequisites.describe_not_started(chosen(tmp_path))
    assert "kubelet and kube-proxy" in text
    assert "containerd and runc" in text
    assert "apt-get install" in text
    assert "\n" not in text


def test_a_user_who_is_not_root_has_no_node(
    tmp_path: Path, machine: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert prerequisites.node_components(chosen(tmp_path)) == []
    assert "root privileges are missing" in prerequisites.describe_not_started(chosen(tmp_path))


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("all", ["containerd", "kubelet", "kube-proxy"]),
        ("kubeletonly", ["containerd", "kubelet"]),
        ("nokubelet", ["kube-proxy"]),
        ("nokubeproxy", ["containerd", "kubelet"]),
        ("nokubelet,nokubeproxy", []),
        ("nokubeproxy, nokubelet", []),
        ("kubeletonly,nokubeproxy", ["containerd", "kubelet"]),
        ("all,nokubelet", ["kube-proxy"]),
        ("", ["containerd", "kubelet", "kube-proxy"]),
    ],
)
def test_the_start_mode_decides(
    tmp_path: Path, machine: set[str], mode: str, names: list[str]
) -> None:
    made = chosen(tmp_path, START_MODE=mode)
    assert prerequisites.node_components(made) == names
    control = [] if "kubeletonly" in mode else CONTROL
    assert cluster.components_to_run(made) == control + names
    assert cluster.components_in_scope(made) == (
        [*COMPONENTS] if control else ["containerd", "kubelet"]
    )


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("kubeletonly,nokubelet", "kubeletonly,nokubelet is not.*no component"),
        ("all,kubeletonly", "all,kubeletonly is not.*all means more"),
        ("nokubelet,nokubproxy", r"kubeletonly, nokubelet.*did you mean nokubeproxy"),
        ("none", "all, kubeletonly, nokubelet, nokubeproxy"),
    ],
)
def test_a_wrong_start_mode_is_refused(tmp_path: Path, mode: str, words: str) -> None:
    with pytest.raises(Failure, match=rf"START_MODE.*{words}"):
        chosen(tmp_path, START_MODE=mode)


def test_a_runtime_of_the_user_needs_no_containerd(tmp_path: Path, machine: set[str]) -> None:
    machine -= {"containerd", "runc"}
    made = chosen(tmp_path, CONTAINER_RUNTIME_ENDPOINT="unix:///run/x.sock")
    assert prerequisites.node_components(made) == ["kubelet", "kube-proxy"]


def test_without_a_kubelet_kube_proxy_needs_no_runtime(tmp_path: Path, machine: set[str]) -> None:
    machine -= {"containerd", "runc"}
    made = chosen(tmp_path, START_MODE="nokubelet")
    assert prerequisites.node_components(made) == ["kube-proxy"]
    assert "START_MODE=kubeletonly doit up" in prerequisites.describe_not_started(made)
    machine -= {"iptables", "unshare"}
    doit_run.begin()
    assert prerequisites.node_components(made) == []
    text = prerequisites.describe_not_started(made)
    assert "kube-proxy was not started: iptables and unshare are missing" in text
    assert "apt-get install -y iptables util-linux" in text


def test_a_lone_kubelet_needs_a_control_plane(tmp_path: Path) -> None:
    port = str(free_port())
    made = chosen(tmp_path, START_MODE="kubeletonly", API_SECURE_PORT=port)
    with pytest.raises(Failure, match=f"START_MODE=kubeletonly.* https://localhost:{port}"):
        prerequisites.require_control_plane(made)
    prerequisites.require_control_plane(chosen(tmp_path))


def test_a_runtime_of_the_host_needs_a_node_without_a_sandbox(tmp_path: Path) -> None:
    own = {"CONTAINER_RUNTIME_ENDPOINT": "unix:///run/x.sock"}
    with pytest.raises(Failure, match=r"CONTAINER_RUNTIME_ENDPOINT.* of the host") as caught:
        prerequisites.require_runtime(chosen(tmp_path, **own))
    assert "STEPKUBE_NODE_SANDBOX=false" in caught.value.hint
    prerequisites.require_runtime(chosen(tmp_path, STEPKUBE_NODE_SANDBOX="false", **own))


def test_a_lone_kubelet_creates_no_certificate_authority(tmp_path: Path) -> None:
    made = chosen(tmp_path, START_MODE="kubeletonly")
    done = doit(tmp_path, "certs:client-kubelet", START_MODE="kubeletonly")
    assert done.returncode == 1
    assert "START_MODE=kubeletonly" in done.stderr
    assert str(made.paths.certs / "client-ca.crt") in done.stderr
    assert not list(made.paths.certs.glob("*"))
    assert doit(tmp_path, "certs:client-ca").returncode == 0
    authority = (made.paths.certs / "client-ca.crt").read_bytes()
    assert doit(tmp_path, "certs:client-kubelet", START_MODE="kubeletonly").returncode == 0
    assert (made.paths.certs / "client-kubelet.crt").is_file()
    assert doit(tmp_path, "clean", "certs:client-ca", START_MODE="kubeletonly").returncode == 0
    assert (made.paths.certs / "client-ca.crt").read_bytes() == authority


@pytest.mark.parametrize(
    ("host", "mode", "mapping"),
    [
        ("localhost", "all", "out:0.0.0.0:6443:127.0.0.1:6443"),
        ("127.0.0.1", "kubeletonly", "out:0.0.0.0:6443:127.0.0.1:6443"),
        ("api.example.org", "all", "out:0.0.0.0:6443:127.0.0.1:6443"),
        ("api.example.org", "kubeletonly", "out:0.0.0.0:6443:api.example.org:6443"),
        ("192.0.2.7", "kubeletonly", "out:0.0.0.0:6443:192.0.2.7:6443"),
    ],
)
def test_the_sandbox_reaches_the_right_api(
    tmp_path: Path, host: str, mode: str, mapping: str
) -> None:
    assert mapping in forwarding.mappings(chosen(tmp_path, API_HOST=host, START_MODE=mode))


def test_without_iptables_only_kube_proxy_is_not_started(tmp_path: Path, machine: set[str]) -> None:
    machine -= {"iptables"}
    assert prerequisites.node_components(chosen(tmp_path)) == ["containerd", "kubelet"]
    assert "kube-proxy was not started: iptables is missing" in prerequisites.describe_not_started(
        chosen(tmp_path)
    )
    machine |= {"nft"}
    other = chosen(tmp_path, KUBE_PROXY_MODE="nftables")
    assert prerequisites.node_components(other) == ["containerd", "kubelet", "kube-proxy"]
    assert prerequisites.describe_not_started(other) == ""


def test_every_port_of_the_node_is_forwarded(tmp_path: Path) -> None:
    environ = {"KUBELET_READ_ONLY_PORT": "7255", "ENABLE_TRACING": "true"}
    stock = chosen(tmp_path)
    more = chosen(tmp_path, **environ)
    before, after = (
        [*forwarding.mappings(stock), *map(str, kubelet.exposed_ports(stock))],
        [*forwarding.mappings(more), *map(str, kubelet.exposed_ports(more))],
    )
    assert set(after) - set(before) == {"7255", "out:127.0.0.1:4317:127.0.0.1:4317"}
    assert not set(before) - set(after)


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
    component = Component("kubelet", (), Health(""), state_files={state: '"policyName":"static"'})
    processes.prepare(component)
    for policy, stays in (("static", True), ("none", False)):
        state.write_text('{"policyName":"' + policy + '","defaultCpuSet":""}')
        processes.prepare(component)
        assert state.exists() is stays


@pytest.mark.parametrize(
    ("version", "unified", "works"),
    [("v1.18.20", True, False), ("v1.19.0", True, True), ("v1.18.20", False, True)],
)
def test_an_old_kubelet_needs_cgroup_v1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, unified: bool, works: bool
) -> None:
    made = chosen(tmp_path)
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    files.write_json(made.paths.lock, {**lock, "tree": "/", "version": version})
    monkeypatch.setattr(sandbox, "CGROUPS", tmp_path / "cgroup")
    if unified:
        files.write(tmp_path / "cgroup/cgroup.controllers", "cpu memory")
    if works:
        prerequisites.require_cgroups(made)
        return
    with pytest.raises(Failure, match=r"from Kubernetes 1\.19.* v1\.18\.20") as caught:
        prerequisites.require_cgroups(made)
    assert "START_MODE=nokubelet" in caught.value.hint


def test_only_the_nodes_own_control_groups_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "CGROUPS", tmp_path / "cgroup")
    mine, other = tmp_path / "cgroup/memory/[a]*/pod", tmp_path / "cgroup/memory/a/pod"
    for folder in (mine, other):
        folder.mkdir(parents=True)
    sandbox.remove_cgroups(chosen(tmp_path, CGROUP_ROOT="/[a]*"))
    assert not mine.exists()
    assert other.exists()


def test_a_sandbox_that_a_signal_stopped_is_named_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = chosen(tmp_path)
    run = settings.paths.run
    run.mkdir(parents=True)
    init = process.spawn(
        sandbox.INIT, ["sleep", "600"], {}, cwd=run, log=run / "log", fingerprint=""
    )
    process.save(run, init)
    monkeypatch.setattr(sandbox_ipv6, "ensure", lambda *_: None)
    monkeypatch.setattr(port_forwards, "ensure_main", lambda *_: None)
    pid = init.identity.pid
    try:
        assert sandbox.INIT not in sandbox.broken(settings, "containerd")
        os.kill(pid, signal.SIGSTOP)
        assert process.until(lambda: procfs.is_stopped(pid), init.alive, 10.0)
        assert sandbox.INIT in sandbox.broken(settings, "containerd")
        sandbox.repair(settings, "containerd")
        assert not procfs.is_stopped(pid) and init.alive()
        assert sandbox.INIT not in sandbox.broken(settings, "containerd")
    finally:
        signals.stop(init.identity, signals.KILL)
