"""Programs of tests.support that run next to a test: start one, and read what it prints."""

from __future__ import annotations

import subprocess
import sys

from tasks.settings.load import ROOT

Run = subprocess.Popen[str]


def start(module: str, *arguments: object) -> Run:
    """Start a module of tests.support; its output has one stream."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.support.{module}", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def line_with(run: Run, text: str) -> str:
    """Return the first line with a text; fail with the output when the run ends before."""
    return output_until(run, text).splitlines(keepends=True)[-1]


def output_until(run: Run, text: str) -> str:
    """Return the output of a run up to the line with a text; fail with it if there is none."""
    assert run.stdout is not None
    output = ""
    for line in run.stdout:
        output += line
        if text in line:
            return output
    raise AssertionError(output)
