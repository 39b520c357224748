"""A toy that runs as the only component of a workspace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.components import registry
from tasks.debug import swap
from tasks.runtime import accepted_flags, processes
from tasks.settings.load import Settings
from tasks.system import process
from tests.support import toycluster
from tests.support.ports import free_port
from tests.support.toyswap import PORT


@pytest.fixture
def chosen(
    tmp_path: Path, toy: Path, dlv: Path, go_version: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Yield settings of a workspace in which the toy is the only component."""
    made = toycluster.load(tmp_path, free_port())
    toycluster.write(made, toy, dlv, go_version)
    monkeypatch.setitem(registry.COMPONENTS, "toy", toycluster.spec(PORT))
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", toycluster.accept)
    yield made
    swap.kill(made, "toy")
    processes.stop(made, "toy")
    for mark in ("toy", "dlv-toy"):
        assert process.marked(process.mark(mark, made.paths.instance)) == []


@pytest.fixture
def running(chosen: Settings) -> process.Record:
    return processes.start(chosen, processes.desired_component(chosen, "toy"))
