"""The checks of style and types are tests like the others."""

import subprocess
import sys

import pytest

from tasks.settings.load import ROOT


@pytest.mark.parametrize("words", [["ruff", "check"], ["mypy"]], ids=lambda words: words[0])
def test_clean(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
