"""restart:COMPONENT and reset on a gated component."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tasks.cluster import restart
from tasks.cluster import tasks as cluster
from tasks.core import doit_run
from tasks.settings.load import ROOT, Settings
from tasks.system import process


def pid(made: Settings) -> int:
    found = process.load(made.paths.run, "toy")
    assert found is not None and found.alive()
    return found.identity.pid


def test_restart_starts_a_new_process_of_what_runs_as_configured(gated: Settings) -> None:
    assert cluster.reconcile(gated, "toy") is None
    before = pid(gated)
    assert cluster.reconcile(gated, "toy") is None
    assert pid(gated) == before
    (task,) = [task for task in restart.task_restart(gated) if task["name"] == "toy"]
    function, arguments = task["actions"][0]
    assert function(*arguments) is None
    assert pid(gated) != before
    assert "restarted" in doit_run.current().notes[-1]
    assert restart.stop_one(gated, "toy") is None
    assert function(*arguments) is None  # one that does not run is started
    assert pid(gated) != before


def test_reset_removes_objects_and_keeps_certificates(gated: Settings) -> None:
    assert cluster.reconcile(gated, "toy") is None
    for folder in (gated.paths.etcd, gated.paths.certs):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (gated.paths.instance / "addons").mkdir()
    assert restart.reset(gated) is None
    record = process.load(gated.paths.run, "toy")
    assert record is None
    assert not gated.paths.etcd.exists() and not (gated.paths.instance / "addons").exists()
    assert (gated.paths.certs / "file").is_file()


def test_status_is_watched_until_ctrl_c(tmp_path: Path) -> None:
    env = {"STEPKUBE_HOME": str(tmp_path), "STEPKUBE_CONFIG": "/dev/null", "PATH": "/usr/bin:/bin"}
    run = subprocess.Popen(
        [sys.executable, "-m", "doit", "status", "--watch", "-o", "json"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None and run.stderr is not None
    with run.stdout, run.stderr:
        assert '"kube-apiserver"' in run.stdout.readline()
        run.send_signal(2)
        assert run.wait(30) == 130
        assert run.stderr.read() == ""
