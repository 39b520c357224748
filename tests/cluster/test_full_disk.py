"""A workspace on a disk that is full or read-only: what runs is seen and stopped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings.load import ROOT

STARTED = """
import sys
from pathlib import Path
from tasks.system import process
home = Path(sys.argv[1])
instance = home / "instances/default"
env = process.environment("etcd", instance, {})
record = process.spawn("etcd", ("sleep", "600"), env, cwd=instance / "run/etcd",
    log=instance / "logs/etcd.log", fingerprint="")
process.save(instance / "run", record)
"""
ETCD = """
import sys
from pathlib import Path
from tasks.components.base import Component
from tasks.core.errors import Failure
from tasks.runtime import processes
from tasks.settings import load
from tasks.system.ports import Health
made = load.load({"STEPKUBE_HOME": sys.argv[1]}, {}, Path("/dev/null"))
try:
    health = Health("http://127.0.0.1:1/")
    record = processes.process.load(made.paths.run, "etcd")
    processes.wait_ready(Component("etcd", ("etcd",), health, folders=(made.paths.etcd,),
        ready_timeout=0.1), record)
except Failure as failure:
    print(failure)
"""
SCRIPT = """
mount -t tmpfs -o size=4m tmpfs "$HOME_DIR"
export STEPKUBE_HOME="$HOME_DIR" STEPKUBE_CONFIG=/dev/null
"$PYTHON" -c "$STARTED" "$HOME_DIR"
rm -f "$HOME_DIR"/instances/default/run/*.lock
case $DISK in
full) cat /dev/zero >"$HOME_DIR/filler" ;;
read-only) mount --bind "$HOME_DIR" "$HOME_DIR" && mount -o remount,bind,ro "$HOME_DIR" ;;
esac
echo "== etcd"
"$PYTHON" -c "$ETCD" "$HOME_DIR"
echo "exit code 0"
for words in list status config certs down "stop:etcd"; do
    echo "== $words"
    "$PYTHON" -m doit $words 2>&1
    echo "exit code $?"
done
"""


@pytest.mark.parametrize("disk", ["full", "read-only"])
def test_what_runs_is_seen_and_stopped(tmp_path: Path, disk: str) -> None:
    unshare = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    env = {
        "HOME_DIR": str(tmp_path),
        "PYTHON": sys.executable,
        "STARTED": STARTED,
        "ETCD": ETCD,
        "DISK": disk,
    }
    done = subprocess.run(
        [*unshare, "sh", "-c", SCRIPT],
        env={**os.environ, **env},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout
    answers = dict(part.split("\n", 1) for part in done.stdout.split("== ")[1:])
    failed = {words for words, answer in answers.items() if "exit code 0" not in answer}
    assert failed == {"certs"}, done.stdout
    reason = {"full": "No space left on device", "read-only": "Read-only file system"}[disk]
    assert reason in answers["certs"]
    etcd = next(line for line in answers["status"].splitlines() if line.startswith("etcd"))
    assert etcd.split()[1] == "normal", done.stdout
    assert ("is full" in answers["etcd"]) is (disk == "full")
    assert "stopped etcd" in answers["down"]
    assert "was not running" in answers["stop:etcd"]
