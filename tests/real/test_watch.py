"""A save in the source of a real cluster, seen by `doit watch`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tasks import delve
from tasks.components import registry
from tasks.settings import load
from tests.real.cluster import Cluster

pytestmark = pytest.mark.cluster

SCHEDULER = "pkg/scheduler/scheduler.go"
STATEMENT = "if sched.skipPodSchedule(fwk, pod) {"


@pytest.fixture
def watch(cluster: Cluster) -> Iterator["subprocess.Popen[str]"]:
    cluster.doit("up")
    run = subprocess.Popen(
        [sys.executable, "-m", "doit", "watch"],
        cwd=load.ROOT,
        env={**os.environ, "START_MODE": "nokubelet,nokubeproxy"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield run
    run.kill()
    run.communicate()


def line_with(run: "subprocess.Popen[str]", text: str) -> str:
    assert run.stdout is not None
    seen = ""
    for line in run.stdout:
        sys.stdout.write(line)
        seen += line
        if text in line:
            return line
    raise AssertionError(seen)


def test_a_save_rebuilds_the_scheduler_with_its_breakpoint(
    cluster: Cluster, watch: "subprocess.Popen[str]"
) -> None:
    file = cluster.tree / SCHEDULER
    original = file.read_text()
    lines = original.splitlines()
    number = next(n for n, line in enumerate(lines, 1) if STATEMENT in line)
    cluster.doit("debug:kube-scheduler")
    address = f"127.0.0.1:{registry.debug_port(cluster.settings, 'kube-scheduler')}"
    with delve.Delve(address) as client, client.halted():
        (path,) = client.source_files(f"{SCHEDULER}$")
        client.break_at(file=path, line=number, condition="false")
    before = cluster.pids()
    line_with(watch, "watching ")
    try:
        file.write_text(original.replace(STATEMENT, f"_ = pod.Name\n\t{STATEMENT}"))
        line = line_with(watch, " s\n")
        assert "kube-scheduler restarted" in line
        assert f"1 moved from line {number} to {number + 1}" in line
        with delve.Delve(address) as client, client.halted():
            (point,) = client.breakpoints()
        assert (point.line, point.condition) == (number + 1, "false")
        file.write_text(original.replace(STATEMENT, f"unknown()\n\t{STATEMENT}"))
        assert f"{SCHEDULER}:{number}" in line_with(watch, "FAILED")
    finally:
        file.write_text(original)
    line_with(watch, "restarted")
    watch.send_signal(signal.SIGINT)
    output, _ = watch.communicate(timeout=120)
    assert watch.returncode == 130, output
    after = cluster.pids()
    assert {name for name in before if before[name] != after[name]} == {"kube-scheduler"}
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"
    cluster.doit("undebug:kube-scheduler")
