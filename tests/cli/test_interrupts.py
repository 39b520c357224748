"""A signal ends doit with one line and its exit code, from the first import on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings.load import ROOT

CUSTOMIZE = """
import os, sys

def interrupt(event, args):
    if event == "import" and args[0] == "tasks.addons":
        os.kill(os.getpid(), {number})

sys.addaudithook(interrupt)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_prints_no_traceback(tmp_path: Path, number: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(CUSTOMIZE.format(number=int(number)))
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "STEPKUBE_HOME": str(tmp_path / "home")}
    argv = [sys.executable, "-m", "doit", "list"]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr and signal.Signals(number).name in done.stderr
