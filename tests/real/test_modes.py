"""What START_MODE and ENABLE_DAEMON make of a real cluster, by its records and by /proc."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.build import tasks as build
from tasks.components import registry
from tasks.components.registry import COMPONENTS
from tasks.settings import load
from tasks.system import ports, process, procfs, signals
from tests.real.cluster import CONTROL_PLANE, Cluster

pytestmark = pytest.mark.cluster
node = pytest.mark.skipif(os.geteuid() != 0, reason="a kubelet needs root")


@pytest.fixture(autouse=True)
def nothing_left(cluster: Cluster) -> Iterator[None]:
    cluster.doit("down")
    yield
    cluster.doit("down")
    assert running(cluster) == {}


def running(cluster: Cluster) -> dict[str, int]:
    """Return the pids of the components that run: records and marked processes must agree."""
    found = {}
    for name in COMPONENTS:
        record = process.load(cluster.settings.paths.run, name)
        mark = process.mark(name, cluster.settings.paths.instance)
        marked = {one.pid for one in process.marked(mark)}
        if record is not None and record.alive():
            assert record.identity.pid in marked, name
            assert procfs.argv_of(record.identity.pid) == record.argv
            found[name] = record.identity.pid
        else:
            assert not marked, name
    return found


@node
@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("nokubelet,nokubeproxy", CONTROL_PLANE),
        ("nokubeproxy", (*CONTROL_PLANE, "containerd", "kubelet")),
        ("nokubelet", (*CONTROL_PLANE, "kube-proxy")),
        ("all", (*CONTROL_PLANE, "containerd", "kubelet", "kube-proxy")),
    ],
)
def test_a_mode_runs_what_it_says(cluster: Cluster, mode: str, names: tuple[str, ...]) -> None:
    said = cluster.doit("up", START_MODE=mode)
    assert set(running(cluster)) == set(names)
    assert ("START_MODE=kubeletonly doit up" in said) == ("kubelet" not in names)
    kubelet = ports.owner(cluster.settings.kubelet.healthz_port)
    assert (kubelet is not None) == ("kubelet" in names), "no port is held for what does not run"


@node
def test_a_lone_kubelet_joins_and_leaves(cluster: Cluster) -> None:
    said = cluster.doit("up", START_MODE="kubeletonly", code=1)
    assert "no control plane is ready" in said or "START_MODE=kubeletonly" in said
    assert "kubelet" not in running(cluster)
    cluster.doit("up", START_MODE="nokubelet")
    before = running(cluster)
    said = cluster.doit("up", START_MODE="kubeletonly")
    assert f"control plane at https://localhost:{cluster.settings.api.secure_port}" in said
    both = running(cluster)
    assert set(both) - set(before) == {"containerd", "kubelet"}
    assert {name: both[name] for name in before} == before
    assert " Ready " in cluster.kubectl("get", "nodes", "--no-headers")
    cluster.doit("up", START_MODE="kubeletonly")
    assert running(cluster) == both
    said = cluster.doit("down", START_MODE="kubeletonly", PRESERVE_ETCD="false")
    assert "stopped kubelet, containerd" in said
    assert running(cluster) == before
    assert ports.owner(cluster.settings.kubelet.healthz_port) is None
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


@contextmanager
def in_foreground(cluster: Cluster) -> "Iterator[subprocess.Popen[str]]":
    """Run `doit up` in the foreground until it says that it stays."""
    run = subprocess.Popen(
        [sys.executable, "-m", "doit", "up"],
        cwd=load.ROOT,
        env={**os.environ, "START_MODE": "nokubelet,nokubeproxy", "ENABLE_DAEMON": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert "Press Ctrl-C to shut it down." in until(run, "Press Ctrl-C")
        yield run
    finally:
        if run.poll() is None:
            run.terminate()
            run.communicate(timeout=180)


def until(run: "subprocess.Popen[str]", words: str) -> str:
    """Return what a run says up to the line that has these words, or all of it."""
    assert run.stdout is not None
    said = ""
    for line in run.stdout:
        said += line
        if words in line:
            return said
    return said


def test_foreground_reports_a_death_and_an_interrupt_stops_all(cluster: Cluster) -> None:
    with in_foreground(cluster) as run:
        before = running(cluster)
        assert set(before) == set(CONTROL_PLANE)
        cluster.doit("debug:kube-scheduler", "--mode", "exec")
        said = until(run, "runs again")
        assert "terminated" not in said and "kube-scheduler runs again, as pid" in said
        signals.stop(cluster.record("kube-controller-manager").identity, ((9, 60.0),))
        said = until(run, "doit start:kube-controller-manager")
        assert "warning: kube-controller-manager" in said and "terminated unexpectedly" in said
        assert "  | " in said, "the last lines of its log"
        after = running(cluster)
        assert set(before) - set(after) == {"kube-controller-manager"}
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=180)
    assert run.returncode == 130
    assert "Cleaning up" in said and "Traceback" not in said
    assert running(cluster) == {}
    debugger = registry.debug_port(cluster.settings, "kube-scheduler")
    for port in (cluster.settings.api.secure_port, cluster.settings.etcd.port, debugger):
        assert ports.owner(port) is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_in_the_foreground_other_signals_end_it_too(
    cluster: Cluster, number: int, code: int
) -> None:
    with in_foreground(cluster) as run:
        run.send_signal(number)
        run.communicate(timeout=180)
    assert run.returncode == code
    assert running(cluster) == {}


def test_prebuilt_binaries_are_used_and_restarted_when_rebuilt(
    cluster: Cluster, tmp_path: Path
) -> None:
    mode = {"START_MODE": "nokubelet,nokubeproxy"}
    for module in (*CONTROL_PLANE[1:], "kubectl"):
        cluster.doit(f"build:{module}")
        shutil.copy(build.load_binary(cluster.settings, module).path, tmp_path / module)
    said = cluster.doit("up", "-o", str(tmp_path), env=mode)
    assert f"v1.20.2 from {tmp_path}" in said and "packages compiled" not in said
    before = running(cluster)
    assert build.load_binary(cluster.settings, "kubectl").origin == str(tmp_path / "kubectl")
    said = cluster.doit("up", "-o", str(tmp_path), env=mode)
    assert running(cluster) == before and "build:" not in said
    with (tmp_path / "kube-scheduler").open("ab") as binary:
        binary.write(b"another build")
    cluster.doit("up", GO_OUT=str(tmp_path), env=mode)
    after = running(cluster)
    assert {name for name in before if before[name] != after[name]} == {"kube-scheduler"}
    (tmp_path / "kube-scheduler").unlink()
    said = cluster.doit("up", "-o", str(tmp_path), code=1, env=mode)
    assert f"{tmp_path / 'kube-scheduler'} does not exist" in said
    assert running(cluster) == after
