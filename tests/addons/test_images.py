"""Loading images, with a ctr that only prints; the real one is tried by tests/real."""

import os
import shutil
from pathlib import Path

import pytest

from tasks.addons import images
from tasks.components import containerd
from tasks.core import console
from tasks.core.errors import Failure
from tasks.runtime import processes
from tasks.settings import load
from tasks.system import files, process, procfs, signals

OLD = "unpacking docker.io/library/web:1 (sha256:0a1b)...done\nunpacking a/b:2 (sha256:3c)...done\n"
NEW = "docker.io/library/web:1      \tsaved\t\nImporting\telapsed: 0.2 s\ttotal:   0.0 B\n"


@pytest.fixture
def chosen(tmp_path: Path) -> load.Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path)})


@pytest.fixture
def running(chosen: load.Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Pretend that containerd runs; return the folder of a ctr that writes down its words."""
    mine = procfs.identify(os.getpid())
    assert mine is not None
    process.save(
        chosen.paths.run,
        process.Record(
            component=containerd.NAME,
            identity=mine,
            argv=(),
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


def fake(folder: Path, says: str, code: int = 0) -> None:
    (folder / "says").write_text(says)
    script = f'#!/bin/sh\necho "$@" > {folder}/asked\ncat {folder}/says\nexit {code}\n'
    files.write(folder / "ctr", script, 0o755)


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (OLD, ["docker.io/library/web:1", "a/b:2"]),
        (NEW, ["docker.io/library/web:1"]),
        ("Loaded image: web:1\nLoaded image: a/b:2\n", ["web:1", "a/b:2"]),
        ("", []),
    ],
)
def test_the_names_are_read_from_what_is_printed(said: str, names: list[str]) -> None:
    assert images.imported_images(said) == names


def test_an_archive_goes_where_the_kubelet_looks(
    chosen: load.Settings, running: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a b.tar"
    archive.write_bytes(b"")
    assert images.import_archive(chosen, archive) == ["docker.io/library/web:1", "a/b:2"]
    socket = containerd.socket(chosen)
    asked = (running / "asked").read_text().strip()
    assert asked == f"--address={socket} --namespace=k8s.io images import {archive}"


def test_what_containerd_says_of_an_archive_is_passed_on(
    chosen: load.Settings, running: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(b"")
    fake(running, "")
    assert images.import_archive(chosen, archive) == []
    fake(running, "ctr: unrecognized image format", 1)
    with pytest.raises(Failure, match="unrecognized image format"):
        images.import_archive(chosen, archive)


def test_without_containerd_the_fix_is_named(chosen: load.Settings, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="containerd of the instance default does not run") as caught:
        images.import_archive(chosen, tmp_path / "x.tar")
    assert caught.value.hint == "run: doit up"
    own = {"node.container_runtime_endpoint": "unix:///run/crio.sock"}
    other = load.load({"STEPKUBE_HOME": str(tmp_path)}, own)
    with pytest.raises(Failure, match=r"node\.container_runtime_endpoint"):
        images.import_archive(other, tmp_path / "x.tar")


def tree(tmp_path: Path, chosen: load.Settings, source: str, place: str) -> Path:
    """Pretend a checkout whose pause program is `source`."""
    path = tmp_path / "tree" / place
    files.write(path, source)
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    made = {**lock, "tree": str(tmp_path / "tree"), "version": "v1.20.2"}
    files.write_json(chosen.paths.lock, made)
    return path


@pytest.mark.parametrize("place", ["build/pause/linux/pause.c", "build/pause/pause.c"])
def test_pause_is_built_once_and_again_when_its_source_changed(
    chosen: load.Settings, running: Path, tmp_path: Path, place: str
) -> None:
    if shutil.which("gcc") is None:
        pytest.fail("a C compiler is needed, as for the kubelet: apt-get install gcc libc6-dev")
    source = tree(tmp_path, chosen, "int main(void) { return 0; }\n", place)
    done = images.PauseLoaded(chosen)
    assert not done()
    assert images.pause(chosen) is None
    assert "images import" in (running / "asked").read_text()
    assert done()
    source.write_text("int main(void) { return 1; }\n")
    assert not done()
    assert [*chosen.paths.instance.glob("pause.*")] == []


def test_a_pause_that_does_not_compile_is_a_warning(
    chosen: load.Settings, running: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, chosen, "this is no C\n", "build/pause/pause.c")
    assert images.pause(chosen) is None
    said = capsys.readouterr().err
    assert "pods cannot start" in said and "node.pause_image" in said
    assert not images.PauseLoaded(chosen)()


def test_stopping_containerd_leaves_the_shims_of_pods_alone(
    chosen: load.Settings, tmp_path: Path
) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    shim = tmp_path / "containerd-shim-runc-v2"
    shutil.copy(sleep, shim)
    made, log = {}, tmp_path / "log"
    for name, argv in (("shim", str(shim)), ("child", sleep)):
        env = process.environment(containerd.NAME, chosen.paths.instance, {})
        record = process.spawn(name, [argv, "60"], env, cwd=tmp_path, log=log, fingerprint="")
        made[name] = record.identity
    try:
        assert processes.stop(chosen, containerd.NAME)
        assert made["shim"].alive() and not made["child"].alive()
        assert processes.survivors(chosen, "containerd") == [made["shim"]]
        processes.end_pods(chosen)
        assert not made["shim"].alive()
    finally:
        for identity in made.values():
            signals.stop(identity)


def test_load_says_what_is_missing(chosen: load.Settings) -> None:
    for words, expected in (("", "no archive was named"), ("/no/such.tar", "no such file")):
        answer = images.load(chosen, words)
        assert expected in str(answer.message)
    assert console.notes == []
