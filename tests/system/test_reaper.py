"""A log is kept below its limit while its component writes, and no line is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.logs.read import Log
from tasks.system import exits, process, reaper

LIMIT = 64 << 10
LINES = 40000
WRITER = f"""
import os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range({LINES}):
    os.write(log, b"%08d some text that makes the line longer\\n" % number)
"""


@pytest.mark.parametrize("cuts", [True, False])
def test_no_line_is_lost_while_the_log_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: bool
) -> None:
    if not cuts:  # as on tmpfs
        allocate = reaper._allocate
        monkeypatch.setattr(
            reaper,
            "_allocate",
            lambda fd, mode, *size: mode != reaper.COLLAPSE_RANGE and allocate(fd, mode, *size),
        )
    path = tmp_path / "toy.log"
    path.touch()
    log, seen, moved = Log("toy", path), list[str](), 0
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    running = True
    while running:
        running = writer.poll() is None
        before = exits.older(path).stat().st_ino if exits.older(path).exists() else 0
        reaper.move_older(str(path), str(exits.older(path)), LIMIT)
        after = exits.older(path).stat().st_ino if exits.older(path).exists() else 0
        moved += before != after
        seen += [line for entry in log.more() for line in entry.text.split("\n")]
    assert moved > 1
    assert path.stat().st_blocks * 512 <= 2 * LIMIT
    kept = exits.older(path).read_bytes() + path.read_bytes().lstrip(b"\0")
    numbers = [int(line[:8]) for line in kept.splitlines()[1:]]
    assert numbers == list(range(numbers[0], LINES))
    assert [int(line[:8]) for line in seen if line] == list(range(LINES))


def test_the_log_of_a_component_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "LOG_LIMIT", LIMIT)
    log, exit_file = tmp_path / "toy.log", tmp_path / "toy.exit"
    argv = ["/bin/sh", "-c", "seq -w 100000"]
    env = {"PATH": os.environ["PATH"]}
    exits.start("toy", argv, env, cwd=tmp_path, log=log, umask=0o022, exit_file=exit_file)
    assert process.until(exit_file.exists, lambda: True, 60.0)
    assert exits.older(log).stat().st_mode & 0o777 == 0o600
    assert log.stat().st_size < LIMIT
    lines = (exits.older(log).read_text() + log.read_text()).split()
    assert lines == [f"{number:06}" for number in range(1, 100001)]
    assert process.last_lines(log, 1, start=1 << 30) == ("100000",)
