"""What a component itself refuses stops nothing that runs, and is quoted."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.cluster import tasks as cluster
from tasks.components import registry
from tasks.components.base import Component, Context
from tasks.core.errors import Failure
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system import files, process
from tasks.system.ports import Health
from tests.support import gated as program
from tests.support import toyup

ACCEPT = processes.with_accepted_flags
SCRIPT = """#!/bin/sh
case "$*" in
  *Wrong*) echo 'Error: invalid argument "Wrong" for "--gates" flag: no gate Wrong' >&2; exit 1 ;;
  *--help*) exit 0 ;;
  *Late*) echo 'Error: unrecognized feature gate: Late' >&2; exit 1 ;;
  *--version*) exit 0 ;;
esac
exec {python} {program} {port} ""
"""


@pytest.mark.parametrize("wrong", ["Wrong", "Late"])
def test_a_refused_flag_leaves_the_running_component(
    gated: Settings, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr(processes, "with_accepted_flags", ACCEPT)
    toy = tmp_path / "toy"
    text = SCRIPT.format(python=sys.executable, program=program.__file__, port=port)
    files.write(toy, text, 0o755)

    def use(gate: str) -> None:
        def build(_: Context) -> Component:
            health = Health(f"http://127.0.0.1:{port}/healthz")
            return Component("toy", (str(toy), f"--gates={gate}"), health, ports=(port,))

        monkeypatch.setitem(registry.COMPONENTS, "toy", replace(toyup.spec(port), build=build))

    use("Right")
    assert cluster.reconcile(gated, "toy") is None
    before = process.load(gated.paths.run, "toy")
    use(wrong)
    refused = cluster.reconcile(gated, "toy")
    assert f"gate{':' if wrong == 'Late' else ''} {wrong}" in refused.message
    assert before is not None and before.alive()
    assert process.load(gated.paths.run, "toy") == before
    use("Right")
    assert cluster.is_running(gated, "toy")


def test_a_start_that_fails_quotes_the_new_process_only(gated: Settings, tmp_path: Path) -> None:
    log = gated.paths.log("toy")
    files.write(log, "words of the old one\n")
    toy = tmp_path / "toy"
    files.write(toy, "#!/bin/sh\nread line\necho words of the new one; exit 1\n", 0o755)
    component = Component("toy", (str(toy),), Health("http://127.0.0.1:1/"))
    with pytest.raises(Failure) as caught:
        processes.start(gated, component)
    assert "words of the new one" in caught.value.message
    assert "words of the old one" not in caught.value.message
