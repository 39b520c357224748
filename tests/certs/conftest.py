"""A workspace in which everything was just made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tasks.settings.load import Settings
from tests.support.certs import load, make


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make everything once, with a umask that hides nothing."""
    home = tmp_path_factory.mktemp("certs") / "home"
    umask = os.umask(0)
    try:
        make(load(home))
    finally:
        os.umask(umask)
    shutil.copytree(home, home.with_name("master"))
    return home


@pytest.fixture
def home(master: Path) -> Path:
    """Put a workspace back to where everything was just made."""
    shutil.rmtree(master)
    shutil.copytree(master.with_name("master"), master)
    return master


@pytest.fixture
def made(home: Path) -> Settings:
    return load(home)


@pytest.fixture
def folder(made: Settings) -> Path:
    return made.paths.certs
