"""Load images with a fake ctr; tests/real uses the real one."""

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from tasks.addons import images
from tasks.components import containerd
from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.runtime import pods, processes
from tasks.settings import load
from tasks.system import files, process, procfs, signals

OLD = "unpacking docker.io/library/web:1 (sha256:0a1b)...done\nunpacking a/b:2 (sha256:3c)...done\n"
NEW = "docker.io/library/web:1      \tsaved\t\nImporting\telapsed: 0.2 s\ttotal:   0.0 B\n"


@pytest.fixture
def chosen(tmp_path: Path) -> load.Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path)})


@pytest.fixture
def running(chosen: load.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Pretend that containerd runs; return the folder of a fake ctr that records its arguments."""
    mine = procfs.identify(os.getpid())
    assert mine is not None
    process.save(
        chosen.paths.run,
        process.Record(
            component=containerd.NAME,
            identity=mine,
            argv=("containerd",),
            env={},
            cwd="/",
            uid=0,
            exe=procfs.executable(os.getpid()) or "",
            since=0.0,
            fingerprint="",
            log="",
        ),
    )
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    fake(bin_, OLD)
    return bin_


def fake(folder: Path, output: str, code: int = 0) -> None:
    """Write a ctr that records its arguments, prints `output` and exits with `code`."""
    (folder / "output").write_text(output)
    script = f'#!/bin/sh\necho "$@" > {folder}/arguments\ncat {folder}/output\nexit {code}\n'
    files.write(folder / "ctr", script, 0o755)


@pytest.mark.parametrize(
    ("output", "names"),
    [
        (OLD, ["docker.io/library/web:1", "a/b:2"]),
        (NEW, ["docker.io/library/web:1"]),
        ("Loaded image: web:1\nLoaded image: a/b:2\n", ["web:1", "a/b:2"]),
        ("", []),
    ],
)
def test_image_names_are_read_from_the_output(output: str, names: list[str]) -> None:
    assert images.imported_images(output) == names


def test_an_archive_is_imported_into_the_kubelets_namespace(
    chosen: load.Settings, running: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a b.tar"
    archive.write_bytes(b"")
    assert images.import_archive(chosen, archive) == ["docker.io/library/web:1", "a/b:2"]
    socket = containerd.socket(chosen)
    arguments = (running / "arguments").read_text().strip()
    assert arguments == f"--address={socket} --namespace=k8s.io images import {archive}"


def test_an_error_of_ctr_is_in_the_message(
    chosen: load.Settings, running: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(b"")
    fake(running, "")
    assert images.import_archive(chosen, archive) == []
    fake(running, "ctr: unrecognized image format", 1)
    with pytest.raises(Failure, match="unrecognized image format"):
        images.import_archive(chosen, archive)


def test_without_containerd_the_fix_is_doit_up(chosen: load.Settings, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="containerd of the instance default") as caught:
        images.import_archive(chosen, tmp_path / "x.tar")
    assert caught.value.hint == "run: doit up"
    endpoint = {"node.container_runtime_endpoint": "unix:///run/crio.sock"}
    other = load.load({"STEPKUBE_HOME": str(tmp_path)}, endpoint)
    with pytest.raises(Failure, match=r"node\.container_runtime_endpoint"):
        images.import_archive(other, tmp_path / "x.tar")


def tree(tmp_path: Path, chosen: load.Settings, source: str, place: str) -> Path:
    """Write a checkout whose pause program is `source`."""
    path = tmp_path / "tree" / place
    files.write(path, source)
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    record = {**lock, "tree": str(tmp_path / "tree"), "version": "v1.20.2"}
    files.write_json(chosen.paths.lock, record)
    return path


@pytest.mark.parametrize("place", ["build/pause/linux/pause.c", "build/pause/pause.c"])
def test_pause_is_built_again_only_if_its_source_changed(
    chosen: load.Settings, running: Path, tmp_path: Path, place: str
) -> None:
    if shutil.which("gcc") is None:
        pytest.fail("a C compiler is needed, as for the kubelet: apt-get install gcc libc6-dev")
    source = tree(tmp_path, chosen, "int main(void) { return 0; }\n", place)
    done = partial(images.is_pause_loaded, chosen)
    assert not done()
    assert images.pause(chosen) is None
    assert "images import" in (running / "arguments").read_text()
    assert done()
    source.write_text("int main(void) { return 1; }\n")
    assert not done()
    assert [*chosen.paths.instance.glob("pause.*")] == []


def test_a_pause_that_does_not_compile_is_a_warning(
    chosen: load.Settings, running: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, chosen, "this is not C\n", "build/pause/pause.c")
    assert images.pause(chosen) is None
    warning = capsys.readouterr().err
    assert "pause.c does not compile" in warning and "node.pause_image" in warning
    assert not images.is_pause_loaded(chosen)


def test_stopping_containerd_does_not_stop_the_shims_of_pods(
    chosen: load.Settings, tmp_path: Path
) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    shim = tmp_path / "containerd-shim-runc-v2"
    shutil.copy(sleep, shim)
    started, log = {}, tmp_path / "log"
    for name, argv in (("shim", str(shim)), ("child", sleep)):
        env = process.environment(containerd.NAME, chosen.paths.instance, {})
        record = process.spawn(name, [argv, "60"], env, cwd=tmp_path, log=log, fingerprint="")
        started[name] = record.identity
    try:
        assert processes.stop(chosen, containerd.NAME)
        assert started["shim"].alive() and not started["child"].alive()
        assert processes.survivors(chosen, "containerd") == [started["shim"]]
        pods.stop(chosen)
        assert not started["shim"].alive()
    finally:
        for identity in started.values():
            signals.stop(identity)


def test_load_needs_an_archive_that_exists(chosen: load.Settings) -> None:
    for archive, expected in (("", "--archive is"), ("/no/such.tar", "--archive: /no/such.tar")):
        failed = images.load(chosen, archive)
        assert expected in str(failed.message)
    assert doit_run.current().notes == []
