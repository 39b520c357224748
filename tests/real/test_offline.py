"""A real cluster from a bundle, in another workspace, where there is no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings import load
from tests.real.cluster import Cluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root"),
]

SCRIPT = """
ip link set lo up
test -z "$(ip route)" || exit 90
"$1" -m doit up --bundle "$2" || { "$1" -m doit down; exit 91; }
home=$STEPKUBE_HOME/instances/$STEPKUBE_INSTANCE
KUBECONFIG=$home/certs/admin.kubeconfig "$home/bin/kubectl" get --raw /version
code=$?
"$1" -m doit down
exit $code
"""


def test_a_bundle_brings_a_cluster_up_without_network(cluster: Cluster, tmp_path: Path) -> None:
    bundle = tmp_path / "k.tar.gz"
    cluster.doit("bundle", "--output", str(bundle), "--binaries")
    environ = {
        **os.environ,
        "STEPKUBE_HOME": str(tmp_path / "home"),
        "START_MODE": "nokubelet,nokubeproxy",
        "STEPKUBE_CONFIG": os.devnull,
        "STEPKUBE_INSTANCE": "offline",
        "WAIT_FOR_URL_API_SERVER": "240",
    }
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", SCRIPT, "sh", sys.executable, str(bundle)],
        cwd=load.ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"gitVersion": "v1.20.2"' in done.stdout
    assert "kept from an earlier build" in done.stdout
    assert "packages compiled" not in done.stdout
