"""Dry run of the tree's script, isolated, and the comparison with its command lines."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tasks.components.base import Component
from tasks.core.errors import Failure
from tasks.explain import upstream
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.ports import Health

NAMESPACES = ["--mount", "--pid", "--net", "--ipc", "--fork"]


def can_seal() -> bool:
    """Return whether this user can create namespaces on this machine."""
    if not shutil.which("unshare"):
        return False
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(["unshare", *user, *NAMESPACES, "true"], check=False, capture_output=True)
    return done.returncode == 0


sealed = pytest.mark.skipif(not can_seal(), reason="this user cannot create namespaces")


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path / "home"), "LOG_LEVEL": "5"})


def tree(tmp_path: Path, text: str) -> Path:
    """Return a tree whose script is this text."""
    files.write(tmp_path / "tree" / upstream.SCRIPT, text, 0o755)
    return tmp_path / "tree"


def kubelet(chosen: Settings, *arguments: str) -> Component:
    rendered = {chosen.paths.config / "kubelet.yaml": "port: 1\nauth: {on: true}\nextra: [a, b]\n"}
    return Component("kubelet", ("/bin/kubelet", *arguments), Health("http://x"), files=rendered)


HARMFUL = """
DRY_RUN=1
echo skipping running commands
echo pid $$ uid $(id -u)
for place in {outside} $PWD /etc /var /opt /run; do
  touch $place/by-the-dry-run 2> /dev/null && echo WROTE $place
  mkdir $place/folder-by-the-dry-run 2> /dev/null && echo WROTE $place
done
(exec 3<>/dev/tcp/127.0.0.1/{port}) 2> /dev/null && echo CONNECTED
sudo -E touch {outside}/by-sudo 2> /dev/null && echo WROTE as root
[ -e /dev/sda ] || [ -e /dev/vda ] && echo DEVICES
env | grep ^SECRET && echo LEAKED
printf 'port: 2\\nauth:\\n  on: true\\nmode:\\nlogs: %s\\n' $LOG_DIR > $TMP_DIR/kubelet.yaml
echo "RUN kubelet: sudo -E $GO_OUT/kubelet --v=$LOG_LEVEL --same=1 --config" \\
  "$TMP_DIR/kubelet.yaml --kubeconfig=$CERT_DIR/kubelet.kubeconfig --theirs="
"""


@sealed
def test_the_dry_run_changes_no_file_and_is_compared(
    tmp_path: Path, chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        text = HARMFUL.format(outside=tmp_path, port=server.getsockname()[1])
        place = tree(tmp_path, text)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        output = upstream._dry_run(place, scratch, upstream.environment(chosen))
    assert "RUN kubelet" in output
    for line in ("WROTE", "CONNECTED", "DEVICES", "LEAKED"):
        assert line not in output, output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "tree"]
    ours = kubelet(
        chosen,
        "--v=4",
        "--same=1",
        f"--config={chosen.paths.config}/kubelet.yaml",
        f"--kubeconfig={chosen.paths.certs}/kubelet.kubeconfig",
        "--ours=(a b)",
    )
    found = upstream.compare(chosen, place, ours)
    assert found.here == {"--ours": "(a b)", "kubelet.yaml:extra": "a,b"}
    assert found.upstream == {
        "--theirs": "",
        "kubelet.yaml:mode": "",
        "kubelet.yaml:logs": str(chosen.paths.logs),
    }
    assert found.both == {"--v": ("4", "5"), "kubelet.yaml:port": ("1", "2")}
    lines = list(found.lines())
    assert "  differs        --v: 4 here, 5 upstream" in lines
    assert "  only here      --ours=(a b)" in lines


@sealed
def test_a_script_that_fails_is_not_a_dry_run(tmp_path: Path, chosen: Settings) -> None:
    place = tree(tmp_path, "DRY_RUN=1\necho broken >&2\nexit 1\n")
    with pytest.raises(Failure, match=f"{place}.*broken"):
        upstream.compare(chosen, place, kubelet(chosen))
    place = tree(tmp_path, "DRY_RUN=1\necho skipping running commands\n")
    with pytest.raises(Failure, match=f"{place}.* kubelet"):
        upstream.compare(chosen, place, kubelet(chosen))


def test_a_script_without_dry_run_is_not_run(tmp_path: Path, chosen: Settings) -> None:
    place = tree(tmp_path, f"touch {tmp_path}/ran\n")
    with pytest.raises(Failure, match=str(place)) as caught:
        upstream.compare(chosen, place, kubelet(chosen))
    assert "1.34" in caught.value.hint
    assert not (tmp_path / "ran").exists()


def test_only_variables_of_upstream_are_passed_on(chosen: Settings) -> None:
    passed = upstream.environment(chosen)
    assert passed["LOG_LEVEL"] == "5" and passed["API_SECURE_PORT"] == "6443"
    assert not [name for name in passed if name.startswith("STEPKUBE_")]
    assert not passed.keys() & upstream._OURS
    assert "FEATURE_GATES" not in passed, "upstream uses its own default"
