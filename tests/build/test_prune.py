import os
from pathlib import Path

import pytest

from tasks.build import prune, store
from tasks.settings import load
from tasks.system import files, resources


def binary(home: Path, digest: str, age: int) -> Path:
    path = home / "bin" / digest / "kubelet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 1000)
    os.utime(path, (age, age))
    return path


def test_the_oldest_unused_binaries_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "GIB", 1000)
    made = load.load({"STEPKUBE_HOME": str(tmp_path), "STEPKUBE_BUILD_KEEP": "2"})
    oldest, old, new, newest = (binary(tmp_path, name, age) for age, name in enumerate("abcd", 1))
    record = {"module": "kubelet", "path": str(oldest), "digest": "", "go": "", "version": ""}
    files.write_json(made.paths.built("kubelet"), record)
    assert prune.prune(made) == 2000
    assert oldest.exists(), "an instance has it"
    assert newest.exists()
    assert not old.exists() and not new.exists()


def test_within_the_limit_nothing_goes(tmp_path: Path) -> None:
    made = load.load({"STEPKUBE_HOME": str(tmp_path)})
    kept = binary(tmp_path, "a", 1)
    assert prune.prune(made) == 0
    assert kept.exists()


def test_a_link_to_a_binary_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "GIB", 1100)
    made = load.load({"STEPKUBE_HOME": str(tmp_path), "STEPKUBE_BUILD_KEEP": "1"})
    old, new = binary(tmp_path, "old", 1), binary(tmp_path, "new", 2)
    link = tmp_path / "bin/other/kubelet"
    store.link(link, old)
    assert store.followed(link) == old and store.followed(old) == old
    assert prune.prune(made) == 1000
    assert new.exists() and not old.exists() and not link.is_symlink()
    assert prune.prune(made) == 0
