"""Folders that are complete or absent; a run that waits for a lock prints a line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings import load
from tasks.system import files

WAITER = """
import sys
from pathlib import Path
from tasks.system import files, lock_wait
lock_wait.INTERVAL = 0.05
with files.locked(Path(sys.argv[1])):
    print("has it")
"""


def test_waiting_for_a_lock_says_who_has_it_on_stderr(tmp_path: Path) -> None:
    lock = tmp_path / "build.lock"
    argv = [sys.executable, "-c", WAITER, str(lock)]
    with files.locked(lock):
        waiter = subprocess.Popen(
            argv, cwd=load.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert waiter.stderr is not None
        line = waiter.stderr.readline()
        assert "waiting" in line and line.endswith(f" {lock}\n")
        assert f"pid {os.getpid()} (" in line and ":" in line
        assert waiter.stderr.readline().startswith("  waiting"), "it keeps saying it"
        assert waiter.poll() is None
    assert waiter.communicate(timeout=60)[0] == "has it\n"


def test_a_free_lock_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with files.locked(tmp_path / "lock"):
            pass
    assert capsys.readouterr() == ("", "")


def test_a_staged_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "tree"
    (tmp_path / ".tree.making").mkdir()
    (tmp_path / ".tree.making/of-a-killed-run").touch()
    with pytest.raises(KeyboardInterrupt), files.staged(target) as folder:
        assert list(folder.iterdir()) == []
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with files.staged(target) as folder:
        (folder / "file").write_text("whole")
        assert not target.exists()
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [
        Path("tree"),
        Path("tree/file"),
    ]


def test_a_staged_folder_does_not_replace_files(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/mine").touch()
    with pytest.raises(OSError, match="tree"), files.staged(tmp_path / "tree"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["tree", "mine"]
