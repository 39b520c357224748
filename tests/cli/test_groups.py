"""Groups of tasks: a group runs what is configured, in the right order."""

from pathlib import Path

import pytest

from tasks.build import tasks as build
from tasks.cli import task_names
from tasks.cluster import restart
from tasks.cluster import tasks as cluster
from tasks.core import doit_run
from tasks.debug import tasks as debug
from tasks.settings import load
from tests.support.doit import doit

CCM = "cloud-controller-manager"


def parts(tmp_path: Path, group: str, **environ: str) -> list[str]:
    """Return the parts that a group runs, in order."""
    settings = load.load({"STEPKUBE_HOME": str(tmp_path), **environ}, {}, Path("/dev/null"))
    pipeline = {"all": (build.task_build, cluster.task_start, restart.task_stop, debug.task_debug)}
    tasks = list(task_names.tasks(settings, pipeline))
    return [task["name"] for task in tasks if task["basename"] == group and task.get("name")]


@pytest.mark.parametrize("group", ["build", "start", "debug"])
def test_a_group_leaves_out_what_is_not_configured(tmp_path: Path, group: str) -> None:
    plain = parts(tmp_path, group, START_MODE="nokubelet,nokubeproxy")
    assert "kube-apiserver" in plain and CCM not in plain
    if group != "build":
        assert "kubelet" not in plain
    external = {"EXTERNAL_CLOUD_PROVIDER": "true", "CLOUD_PROVIDER": "x", "CLOUD_CONFIG": "/x"}
    assert CCM in parts(tmp_path, group, **external)


def test_a_part_that_is_not_configured_has_its_task(tmp_path: Path) -> None:
    listing = doit(tmp_path, "list", "--all").stdout
    for group in ("build", "start", "debug"):
        assert f"{group}:{CCM} " in listing


def test_debug_takes_the_components_in_start_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load.load({"STEPKUBE_HOME": str(tmp_path)}, {}, Path("/dev/null"))
    pipeline = {"all": (debug.task_debug,)}

    def needed() -> list[str]:
        tasks = task_names.tasks(settings, pipeline)
        found = {f"{task['basename']}:{task.get('name')}": task for task in tasks}
        return list(found["debug:kube-scheduler"]["task_dep"])

    assert not [name for name in needed() if name.startswith("debug:")]
    monkeypatch.setattr("sys.argv", ["doit", "debug"])
    assert "debug:kube-controller-manager" in needed()


def test_stop_stops_the_last_component_first(tmp_path: Path) -> None:
    stops = parts(tmp_path, "stop")
    assert stops.index("kube-scheduler") < stops.index("kube-apiserver") < stops.index("etcd")


@pytest.mark.parametrize(
    "words", [["debug"], ["debug:kubelet"], ["debug:kubelet", "--mode", "exec"], ["break:kubelet"]]
)
def test_debug_without_a_cluster_says_so_before_delve_is_built(
    tmp_path: Path, words: list[str]
) -> None:
    done = doit(tmp_path, *words, GOPROXY="https://127.0.0.1:1")
    assert done.returncode == 1
    assert "the cluster default is not running" in done.stderr and "doit up" in done.stderr
    assert "delve" not in done.stderr + done.stdout
    assert not (tmp_path / "mirror.json").exists(), "nothing was downloaded"


def test_debug_names_all_stopped_components_and_mode_exec_needs_only_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load.load({"STEPKUBE_HOME": str(tmp_path)}, {}, Path("/dev/null"))
    monkeypatch.setattr(debug, "_is_running", lambda _, name: name == "etcd")
    run = doit_run.current()
    run.dependencies = {
        "debug": ("debug:kubelet", "debug:kube-proxy"),
        "debug:kubelet": (),
        "debug:kube-proxy": (),
    }
    run.selected = ("debug",)
    failed = debug.require_cluster(settings)
    assert "kubelet, kube-proxy" in failed.message and "doit up" in failed.message
    run.selected, run.options = ("debug:kubelet",), {"debug:kubelet": {"mode": "exec"}}
    assert debug.require_cluster(settings) is None
