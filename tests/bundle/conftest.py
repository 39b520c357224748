"""An instance and its bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.settings.load import Settings
from tests.support.bundles import instance, pack


@pytest.fixture
def made(tmp_path: Path) -> Settings:
    """Return settings of an instance that a test can change."""
    return instance(tmp_path)


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings of an instance that tests only read."""
    return instance(tmp_path_factory.mktemp("ready"))


@pytest.fixture(scope="session")
def packed(ready: Settings) -> Path:
    """Return the bundle of that instance."""
    return pack(ready)


@pytest.fixture
def bundle(packed: Path, tmp_path: Path) -> Path:
    """Return a copy of that bundle with its checksum."""
    for name in (packed.name, f"{packed.name}.sha256"):
        shutil.copyfile(packed.with_name(name), tmp_path / name)
    return tmp_path / packed.name
