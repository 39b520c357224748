"""Several components under the debugger at once, rebuilt, restarted, and given back."""

import json
import time
from pathlib import Path

import pytest

from tasks import delve
from tasks.components import registry
from tasks.debug import journal
from tasks.system import signals
from tests.real.cluster import CONTROL_PLANE, Cluster
from tests.support.stops import wait_stop

pytestmark = pytest.mark.cluster

TOGETHER = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
SCHEDULE = "k8s.io/kubernetes/pkg/scheduler/core.(*genericScheduler).Schedule"


def address(cluster: Cluster, name: str) -> str:
    return f"127.0.0.1:{registry.debug_port(cluster.settings, name)}"


def raw(cluster: Cluster, name: str) -> bytes:
    return Path(f"/proc/{cluster.record(name).identity.pid}/cmdline").read_bytes()


@pytest.mark.parametrize("mode", ["attach", "exec"])
def test_all_of_the_control_plane_at_once(cluster: Cluster, mode: str) -> None:
    cluster.doit("up")
    before = {name: raw(cluster, name) for name in CONTROL_PLANE}
    for name in TOGETHER:
        cluster.doit(f"debug:{name}", "--mode", mode)
    rows = {row["name"]: row for row in json.loads(cluster.doit("status", "-o", "json"))}
    for name in TOGETHER:
        assert rows[name]["mode"] == f"debug-{mode}"
        assert rows[name]["health"] == "ok"
        assert rows[name]["debugger"].endswith("running")
    assert rows["etcd"]["mode"] == "normal"
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"
    cluster.doit("undebug")
    for name in CONTROL_PLANE:
        assert raw(cluster, name) == before[name], name
        assert cluster.record(name).mode == "normal"
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_a_rebuild_restarts_it_in_its_mode_with_its_breakpoints(cluster: Cluster) -> None:
    cluster.doit("debug:kube-scheduler")
    with delve.Delve(address(cluster, "kube-scheduler")) as client, client.halted():
        client.break_at(function=SCHEDULE)
    before = cluster.pids()
    source = cluster.tree / "pkg" / "scheduler" / "scheduler.go"
    original = source.read_text()
    try:
        source.write_text(f"{original}\nvar editedWhileDebugged = 1\n")
        said = cluster.doit("up")
        assert "again in mode debug-attach with 1 breakpoints" in said
    finally:
        source.write_text(original)
    after = cluster.pids()
    assert {name for name in before if before[name] != after[name]} == {"kube-scheduler"}
    assert cluster.record("kube-scheduler").mode == "debug-attach"
    with delve.Delve(address(cluster, "kube-scheduler")) as client:
        cluster.kubectl("run", "scheduled", "--image=none.invalid/none")
        stop = wait_stop(client, 120)
        assert stop.function == SCHEDULE
    assert "paused at" in cluster.doit("status")
    cluster.doit("resume:kube-scheduler")
    assert "running" in cluster.doit("status")
    cluster.doit("undebug:kube-scheduler")
    cluster.doit("up")
    cluster.kubectl("delete", "pod", "scheduled", "--force", "--grace-period=0")


@pytest.mark.parametrize(
    ("function", "seconds"),
    [
        ("k8s.io/kubernetes/pkg/registry/core/configmap.strategy.PrepareForCreate", 40),
        (
            "k8s.io/apiserver/pkg/admission/plugin/resourcequota.(*quotaEvaluator).checkAttributes",
            12,
        ),
    ],
    ids=["write", "quota"],
)
def test_a_write_that_is_paused_beyond_upstreams_limit_is_stored(
    cluster: Cluster, function: str, seconds: int
) -> None:
    cluster.doit("debug:kube-apiserver")
    name = f"paused-{seconds}"
    with delve.Delve(address(cluster, "kube-apiserver")) as client:
        with client.halted():
            client.break_at(function=function)
        writer = cluster.kubectl_in_background("create", "configmap", name)
        assert wait_stop(client, 120).function == function
        time.sleep(seconds)  # the limit is one of time
        client.clear_all()
        client.resume()
        out, _ = writer.communicate(timeout=120)
    assert writer.returncode == 0, out
    assert name in cluster.kubectl("get", "configmap", name)
    cluster.kubectl("delete", "configmap", name)
    cluster.doit("undebug:kube-apiserver")


def test_stop_at_entry_holds_a_real_component_before_main(cluster: Cluster) -> None:
    cluster.doit("debug:kube-scheduler", "--mode", "exec", "--stop-at-entry")
    with delve.Delve(address(cluster, "kube-scheduler")) as client:
        client.break_at(function="main.main")
        client.resume()
        assert wait_stop(client, 120).function == "main.main"
    cluster.doit("undebug:kube-scheduler")
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_up_heals_a_component_whose_debugger_was_killed(cluster: Cluster) -> None:
    before = raw(cluster, "kube-controller-manager")
    cluster.doit("debug:kube-controller-manager")
    held = journal.load(cluster.settings, "kube-controller-manager")
    assert held is not None and held.debugger is not None
    signals.stop(held.debugger, ((9, 60.0),))
    assert "lost its debugger" in cluster.doit("status")
    assert "its debugger had exited" in cluster.doit("up")
    assert cluster.record("kube-controller-manager").mode == "normal"
    assert raw(cluster, "kube-controller-manager") == before


def test_a_scripted_breakpoint_in_the_scheduler(cluster: Cluster) -> None:
    before = cluster.pids()
    said = cluster.doit(
        "break:kube-scheduler",
        "--at=genericScheduler).Schedule",
        "--run=kubectl run watched --image=none.invalid/none",
        "--output=json",
    )
    answer = json.loads(said[said.index("{") : said.rindex("}") + 1])
    (hit,) = answer["hits"]
    assert hit["function"] == SCHEDULE
    pod = next(one["value"] for one in hit["arguments"] if one["name"] == "pod")
    assert "watched" in pod
    assert "kube-scheduler" in said or answer["component"] == "kube-scheduler"
    assert any("scheduleOne" in frame["function"] for frame in hit["stack"])
    assert cluster.pids() == before
    assert cluster.record("kube-scheduler").mode == "normal"
    cluster.kubectl("delete", "pod", "watched", "--force", "--grace-period=0")
