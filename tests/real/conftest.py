"""A real cluster, brought up once by the commands a user types, for the tests of this folder."""

import os
from collections.abc import Iterator

import pytest

from tasks.settings import load
from tests.real.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Bring the cluster up from nothing, and down again at the end."""
    made = Cluster(load.load(os.environ))
    try:
        yield made
    finally:
        made.doit("down")
