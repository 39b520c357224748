"""The checks of style, types and layers are tests like the others."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings.load import ROOT


@pytest.mark.parametrize(
    "words",
    [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["lint-imports"], ["vulture"]],
    ids=" ".join,
)
def test_clean(words: list[str]) -> None:
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run(
        [program, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
