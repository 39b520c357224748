"""Settings for builds with a real Go, of a small tree that looks like Kubernetes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.checkout import tasks as checkout
from tasks.kubernetes import tool_record
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system.run import run
from tests.support import miniature
from tests.support.ports import instance_name


@pytest.fixture
def chosen(tmp_path: Path, cache: Path, go: Path, go_version: str) -> Iterator[Settings]:
    """Yield settings whose tree is a miniature; Go's cache is shared with earlier runs."""
    name = instance_name()
    made = miniature.make(tmp_path / "tree", unique=name)
    environ = {
        "STEPKUBE_HOME": str(cache / "home"),
        "STEPKUBE_INSTANCE": name,
        "STEPKUBE_ORIGIN_PATH": str(made),
    }
    loaded = load.load(environ)
    assert checkout.make(loaded) is None
    root = Path(run(go, "env", "GOROOT").stdout.strip())
    tool_record.save_tool(loaded, tool_record.Tool("go", go_version, root / "bin/go", root, "here"))
    yield loaded
    shutil.rmtree(loaded.paths.instance)
