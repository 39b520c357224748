from pathlib import Path

import pytest

from tasks.check import memory_need
from tasks.check import tasks as check
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import memory


def settings(tmp_path: Path, **environ: str) -> Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path), **environ})


def test_a_machine_that_is_too_small_is_refused_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "total", lambda: 1.0)
    failed = str(check.check(settings(tmp_path)))
    assert "1.0 GiB" in failed and "a build 1.5 GiB" in failed
    assert "swap" in failed.partition("fix:")[2]


def test_prebuilt_binaries_need_no_memory_for_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = settings(tmp_path, GO_OUT=str(tmp_path))
    monkeypatch.setattr(memory, "total", lambda: 1.0)
    assert memory_need.require(own) == ""
    monkeypatch.setattr(memory, "total", lambda: 0.5)
    failed = str(check.check(own))
    assert "0.7 GiB" in failed and "build" not in failed


def test_a_build_that_may_not_fit_next_to_the_cluster_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "total", lambda: 1.8)
    assert check.check(settings(tmp_path)) is None
    assert "1.8 GiB" in capsys.readouterr().err
    monkeypatch.setattr(memory, "total", lambda: 4.0)
    assert check.check(settings(tmp_path)) is None
    assert "GiB" not in capsys.readouterr().err, "4 GiB are enough"
