"""The generated pages say what the code says; the layers themselves: tests/test_linters.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.settings.load import ROOT
from tests.support import pages

HAND_WRITTEN = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_generated_page_is_current(page: Path) -> None:
    assert page.read_text() == pages.pages()[page], "run: python -m tests.support.pages"


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda page: page.name)
def test_page_names_only_files_that_exist(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    named = re.findall(r"`((?:tasks|templates|tests|docs)/[\w./-]*)`", text)
    missing = [name for name in links if not (page.parent / name).exists()]
    assert missing + [name for name in named if not (ROOT / name).exists()] == []
