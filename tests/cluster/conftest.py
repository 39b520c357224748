"""A gated component that is the toy of a workspace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.components import registry
from tasks.debug import swap
from tasks.runtime import accepted_flags, processes
from tasks.settings.load import Settings
from tasks.system import process
from tests.support import toycluster, toyup
from tests.support.ports import free_port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def gated(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Yield settings of a workspace whose component "toy" is the gated program."""
    made = toycluster.load(tmp_path, free_port())
    toycluster.write(made, tmp_path / "toy", tmp_path / "dlv", "1.26")
    monkeypatch.setitem(registry.COMPONENTS, "toy", toyup.spec(port))
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", toycluster.accept)
    yield made
    swap.kill(made, "toy")
    processes.stop(made, "toy")
    assert process.marked(process.mark("toy", made.paths.instance)) == []
