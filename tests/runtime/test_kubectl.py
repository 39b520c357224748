"""The kubectl that the tool runs itself."""

from pathlib import Path

import pytest

from tasks.runtime import kubectl
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files

STANDIN = """#!/bin/sh
test "$KUBERC" = off || exit 1
for word; do case $word in --cache-dir=*) mkdir -p "${word#*=}/discovery" ;; esac; done
mkdir -p "${HOME:-.}/.kube/cache/discovery"
"""


@pytest.mark.parametrize("version", ["v1.10.0", "v1.20.2", "v1.37.2"])
@pytest.mark.parametrize("has_home", [True, False])
def test_it_writes_only_into_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, has_home: bool
) -> None:
    made = load.load({"STEPKUBE_HOME": str(tmp_path / "workspace")})
    prepare(made, tmp_path / "kubectl", version)
    user = tmp_path / "user"
    user.mkdir()
    monkeypatch.chdir(user)
    monkeypatch.setenv("HOME", str(user))
    if not has_home:
        monkeypatch.delenv("HOME")
    kubectl.kubectl(made, "get", "nodes")
    assert list(user.iterdir()) == []
    written = set(tmp_path.rglob("discovery"))
    assert len(written) == 2
    assert all(path.is_relative_to(made.paths.cache) and version in str(path) for path in written)


def prepare(made: Settings, program: Path, version: str) -> None:
    """Write the records that the build would leave, with a stand-in for kubectl."""
    files.write(program, STANDIN, 0o755)
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    files.write_json(made.paths.lock, {**lock, "tree": "/", "version": version})
    record = {"module": "kubectl", "path": str(program), "digest": "", "go": "", "version": version}
    files.write_json(made.paths.built("kubectl"), record)
