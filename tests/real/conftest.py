"""A real cluster, brought up once by the commands a user types, for the tests of this folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.settings import load
from tasks.system.run import run
from tests.real.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Bring the cluster up from nothing, and down again at the end."""
    made = Cluster(load.load(os.environ))
    try:
        yield made
    finally:
        made.doit("down")


@pytest.fixture(scope="session")
def program(go: Path, go_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the only program in the images of the tests."""
    made = tmp_path_factory.mktemp("pod") / "pod"
    source = Path(__file__).parent.parent / "pod"
    run(go, "build", "-ldflags=-s -w", "-o", made, ".", cwd=source, env=go_env, timeout=600)
    return made
