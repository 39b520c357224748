"""Pages say what the code says; the layers themselves are checked in tests/test_linters.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings.load import ROOT
from tests.support import pages

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
DOIT = {"list", "info", "help", "clean", "forget"}


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_generated_page_is_current(page: Path) -> None:
    assert page.read_text() == pages.pages()[page], "run: python -m tests.support.pages"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_only_files_that_exist(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    named = re.findall(r"`((?:tasks|templates|tests|docs)/[\w./-]*)`", text)
    missing = [name for name in links if not (page.parent / name).exists()]
    assert missing + [name for name in named if not (ROOT / name).exists()] == []


def test_pages_name_only_tasks_that_exist(tmp_path: Path) -> None:
    env = {**os.environ, "STEPKUBE_HOME": str(tmp_path), "STEPKUBE_CONFIG": os.devnull}
    words = [sys.executable, "-m", "doit", "list", "--all", "--quiet"]
    listing = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    tasks = {line.split()[0] for line in listing.stdout.splitlines()}
    named = {
        (page.name, name)
        for page in PAGES
        for code in re.findall(r"```.*?```|`[^`]+`", page.read_text(), re.DOTALL)
        for name in re.findall(r"\bdoit ([a-z]+(?::[a-z][a-z-]*)?)", code)
    }
    assert {(page, name) for page, name in named if name not in tasks | DOIT} == set()
