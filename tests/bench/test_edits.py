"""Edits of a benchmark, which leave no trace in the tree."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.bench import edits
from tasks.core.errors import Failure
from tasks.settings import load
from tasks.settings.load import ROOT, Settings

CONTENT = b"package a\r\n// \xff\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path / "home")}, {}, Path(os.devnull))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "a.go"
    file.write_bytes(CONTENT)
    file.chmod(0o640)
    os.utime(file, ns=(1_000_000_000, 1_000_000_123))
    return file


def is_unchanged(source: Path) -> bool:
    state = source.stat()
    same = (state.st_mode & 0o777, state.st_mtime_ns) == (0o640, 1_000_000_123)
    return same and source.read_bytes() == CONTENT


def test_an_edit_is_undone_with_content_times_and_mode(settings: Settings, source: Path) -> None:
    inode = source.stat().st_ino
    with edits.appended(settings, source, "more\n"):
        assert source.read_bytes() == CONTENT + b"more\n"
    assert is_unchanged(source) and source.stat().st_ino == inode
    edits.undo_leftover(settings)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Failure("a build failed")])
def test_an_edit_is_undone_after_an_error(
    settings: Settings, source: Path, error: type[BaseException] | BaseException
) -> None:
    with (
        pytest.raises((KeyboardInterrupt, SystemExit, Failure)),
        edits.appended(settings, source, "x"),
    ):
        raise error
    assert is_unchanged(source)


PROGRAM = """
import os, sys, time
from pathlib import Path
from tasks.bench import edits
from tasks.cli import interrupts
from tasks.settings import load
interrupts.install()
settings = load.load({"STEPKUBE_HOME": sys.argv[1]}, {}, Path(os.devnull))
with edits.appended(settings, Path(sys.argv[2]), "more\\n"):
    print("edited", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_edit_is_undone_after_a_signal(
    settings: Settings, source: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(settings.paths.home), str(source)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stdout.readline() == b"edited\n"
        assert not is_unchanged(source)
        program.send_signal(number)
        program.wait(30)
    if number == signal.SIGKILL:
        assert not is_unchanged(source)
        edits.undo_leftover(settings)
        assert "undone" in capsys.readouterr().err
    assert is_unchanged(source)


def test_a_write_that_a_kill_cut_off_is_undone(settings: Settings, source: Path) -> None:
    with pytest.raises(KeyboardInterrupt), edits.appended(settings, source, "more\n"):
        journal = edits._journal(settings).read_bytes()
        raise KeyboardInterrupt
    edits._journal(settings).write_bytes(journal)
    source.write_bytes(CONTENT[:4])
    edits.undo_leftover(settings)
    assert is_unchanged(source)


def test_an_edit_of_the_user_in_the_meantime_is_kept(settings: Settings, source: Path) -> None:
    text = b"package b // of the user\n"
    with pytest.raises(Failure) as caught, edits.appended(settings, source, "more\n"):
        source.write_bytes(text)
    assert str(source) in caught.value.message and caught.value.hint
    assert source.read_bytes() == text
    edits.undo_leftover(settings)
    assert source.read_bytes() == text, "it is not in the journal any more"
