"""Tasks instances and delete."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.cli import command_line
from tasks.cluster import instances
from tasks.cluster import tasks as cluster
from tasks.core.errors import Failure
from tasks.settings.load import ROOT, Settings
from tasks.system import files, mounts, process, procfs
from tests.support.doit import doit


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a workspace with two instances, tools, and a file that stepkube did not make."""
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    for name in ("default", "two"):
        folder = tmp_path / "home" / "instances" / name
        files.write_json(
            folder / "origin.lock", {**lock, "tree": "/", "version": f"v1.30.{len(name)}"}
        )
        files.write(folder / "etcd" / "data", b"x" * 100_000)
    read_only = tmp_path / "home" / "cache" / "gomod"
    files.write(read_only / "file", "")
    read_only.chmod(0o500)
    files.write(tmp_path / "home" / "notes.txt", "mine")
    return tmp_path / "home"


def test_instances_are_listed(home: Path) -> None:
    found = json.loads(doit(home, "instances", "-o", "json").stdout)
    assert [(row["name"], row["version"], row["state"]) for row in found] == [
        ("default", "v1.30.7", "stopped"),
        ("two", "v1.30.3", "stopped"),
    ]
    assert all(row["bytes"] >= 100_000 for row in found)
    assert found[0]["ports"]["kube-apiserver"] == 6443
    assert found[0]["ports"] != found[1]["ports"]
    lines = doit(home, "instances").stdout.splitlines()
    assert len(lines) == 3 and "v1.30.3" in lines[2]
    assert doit(home / "empty", "instances", "-o", "json").stdout.strip() == "[]"
    assert not (home / "empty" / "instances").exists()


def test_delete_is_refused_without_yes(home: Path) -> None:
    for words in (["delete"], ["delete", "--workspace"]):
        done = doit(home, *words)
        assert done.returncode == 1 and "--yes" in done.stderr
    assert sorted(path.name for path in (home / "instances").iterdir()) == ["default", "two"]


def test_an_instance_that_does_not_exist_is_named(home: Path) -> None:
    done = doit(home, "delete", "--yes", "instance=three")
    assert done.returncode == 1 and "three" in done.stderr and "default, two" in done.stderr
    assert not (home / "instances" / "three").exists()


def test_one_instance_is_deleted(home: Path) -> None:
    files.write(home / "cache" / "kubectl" / "two-v1.30.3" / "file", "")
    done = doit(home, "delete", "-y", "instance=two")
    assert done.returncode == 0 and done.stderr == ""
    assert [path.name for path in (home / "instances").iterdir()] == ["default"]
    assert list((home / "cache" / "kubectl").iterdir()) == []


def test_the_workspace_is_deleted_but_no_file_of_the_user(home: Path) -> None:
    done = doit(home, "delete", "--workspace", "--yes")
    assert done.returncode == 0 and done.stderr == ""
    assert [path.name for path in home.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("answer", "is_deleted"), [(b"n\n", False), (b"\n", False), (b"y\n", True)]
)
def test_a_terminal_is_asked(home: Path, answer: bytes, is_deleted: bool) -> None:
    env = {**os.environ, "STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull}
    outer, inner = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "doit", "delete"],
        cwd=ROOT,
        env=env,
        stdin=inner,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(inner)
    os.write(outer, answer)
    out, _ = run.communicate(timeout=60)
    os.close(outer)
    assert run.returncode == (0 if is_deleted else 1), out
    assert (home / "instances" / "default").exists() != is_deleted


def test_a_running_instance_is_shown_and_stopped(
    gated: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster.reconcile(gated, "toy") is None
    record = process.load(gated.paths.run, "toy")
    assert record is not None
    found = instances.describe(gated)
    assert (found.state, found.components) == ("running", ("toy",))
    monkeypatch.setattr(command_line, "load_settings", lambda _: gated)
    assert instances.delete(gated, workspace=False, yes=True) is None
    assert procfs.executable(record.identity.pid) is None
    assert not gated.paths.instance.exists()
    gated.paths.run.mkdir(parents=True)


def test_files_on_a_mount_are_not_deleted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "mount_points", lambda folder: [folder / "volume"])
    with pytest.raises(Failure, match="volume"):
        instances._remove(home / "instances")
    assert (home / "instances" / "two" / "etcd" / "data").exists()
