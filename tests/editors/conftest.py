"""A small tree, and settings that use it."""

from pathlib import Path

import pytest

from tasks.settings.load import Settings
from tests.support import miniature
from tests.support.launches import with_checkout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return miniature.make(tmp_path / "tree", tags=("v1.28.3",))


@pytest.fixture
def chosen(tmp_path: Path, tree: Path) -> Settings:
    return with_checkout(tmp_path, tree)
