"""Tasks logs and logs:COMPONENT on files of a workspace."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings.load import ROOT
from tests.support.doit import doit

ETCD = '{{"level":"info","ts":"2026-11-30T17:00:{:02}.000000Z","msg":"e{}"}}\n'
SCHEDULER = 'time="2026-11-30T17:00:{:02}.500000Z" level=info msg="s{}"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    logs = tmp_path / "instances" / "default" / "logs"
    logs.mkdir(parents=True)
    lines = "".join(ETCD.format(second, second) for second in range(4))
    (logs / "etcd.log.1").write_text(lines[:50])
    (logs / "etcd.log").write_text(lines[50:])
    (logs / "kube-scheduler.log").write_text(
        "".join(SCHEDULER.format(second, second) for second in range(4)) + "goroutine 1:\n  main"
    )
    return tmp_path


def shown(home: Path, *words: str) -> list[tuple[str, str]]:
    done = doit(home, "logs", *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return [(entry["component"], entry["text"]) for entry in json.loads(done.stdout)]


def test_one_time_axis(home: Path) -> None:
    found = shown(home)
    assert [name for name, _ in found] == ["etcd", "kube-scheduler"] * 4
    assert found[-1][1].endswith("goroutine 1:\n  main")
    lines = doit(home, "logs").stdout.splitlines()
    assert len(lines) == 10
    assert all(" | " in line and "\x1b" not in line for line in lines)


def test_filters(home: Path) -> None:
    assert [name for name, _ in shown(home, "etcd")] == ["etcd"] * 4
    assert [name for name, _ in shown(home, "kube-scheduler", "etcd", "--tail", "2")] == [
        "etcd",
        "kube-scheduler",
    ]
    assert next(text for _, text in shown(home, "--grep", "goroutine")).count("s3") == 1
    assert len(shown(home, "--since", "2026-11-30T17:00:02Z")) == 4
    assert doit(home, "logs:etcd").stdout.count("\n") == 4


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nothing"], "nothing"),
        (["etcd", "--since", "soon"], "--since"),
        (["--grep", "("], "--grep"),
        (["etcd", "--lines", "1"], "--lines"),
        (["--tail=-7"], "--tail"),
        (["kubelet"], "kubelet"),
    ],
)
def test_bad_input_is_named(home: Path, words: list[str], named: str) -> None:
    done = doit(home, "logs", *words)
    assert done.returncode == 1
    assert named in done.stderr and "fix:" in done.stderr and "Traceback" not in done.stderr


def test_follow_on_a_terminal_has_colours_and_new_lines(home: Path) -> None:
    env = {**os.environ, "STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull, "TERM": "xterm"}
    env = {name: value for name, value in env.items() if name not in ("CI", "NO_COLOR")}
    outer, inner = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "doit", "logs", "-f"],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=inner,
        stderr=inner,
    )
    os.close(inner)
    try:
        seen = read_until(outer, b"goroutine")
        assert b"\x1b[3" in seen
        log = home / "instances" / "default" / "logs" / "kubelet.log"
        log.write_text("I1130 17:00:09.000000 1 a.go:1] new\nI1130 17:00:10.000000 1 a")
        seen = read_until(outer, b"new")
        assert b"kubelet" in seen
    finally:
        run.send_signal(2)
        assert run.wait(30) == 130
        os.close(outer)


def read_until(descriptor: int, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += os.read(descriptor, 1 << 16)
    return seen
