"""What a component itself refuses stops nothing that runs, and is quoted."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.cluster import tasks as cluster
from tasks.components import registry
from tasks.components.base import Component, Context
from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.debug import detach, journal, swap
from tasks.runtime import accepted_flags, processes
from tasks.settings.declare import Flags
from tasks.settings.load import Settings
from tasks.system import files, process
from tasks.system.ports import Health
from tests.support import gated as program
from tests.support import toyup

ACCEPT = accepted_flags.with_accepted_flags
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
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", ACCEPT)
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


def test_a_flag_of_the_user_for_another_component_leaves_every_component(
    gated: Settings, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet would refuse its flag only after the toy has been restarted."""
    kubelet = tmp_path / "kubelet"
    text = "#!/bin/sh\ncase $* in *--prt*) echo unknown flag: --prt >&2; exit 1;; esac\n"
    files.write(kubelet, text + "echo '      --port int32   a port'\n", 0o755)
    record = {"module": "kubelet", "path": str(kubelet), "digest": "", "go": "", "version": ""}
    files.write_json(gated.paths.built("kubelet"), record)
    assert cluster.reconcile(gated, "toy") is None
    before = process.load(gated.paths.run, "toy")
    monkeypatch.setitem(registry.COMPONENTS, "toy", toyup.spec(port, env={"NEW": "1"}))
    monkeypatch.setattr(cluster, "components_to_run", lambda _: ["toy", "kubelet"])
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", ACCEPT)
    run = doit_run.current()
    run.dependencies, run.selected = {"up": ["build:kubelet"], "build:kubelet": []}, ["up"]
    flags = replace(gated.kubelet, flags=Flags("--prt=5"))
    refused = cluster.reconcile(replace(gated, kubelet=flags), "toy")
    assert "--prt" in refused.message and "--port?" in refused.message
    assert before is not None and before.alive()
    assert process.load(gated.paths.run, "toy") == before
    flags = replace(gated.kubelet, flags=Flags("--port=5"))
    assert cluster.reconcile(replace(gated, kubelet=flags), "toy") is None
    assert process.load(gated.paths.run, "toy") != before, "and a right flag stops nothing"


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


REFUSES_AT_START = """#!/bin/sh
case "$(cat {config})" in
  *wrong*) echo 'unrecognized feature gate: wrong' >&2; exit 1 ;;
esac
exec {python} {program} {port} ""
"""


@pytest.fixture
def configured(
    gated: Settings, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return a function that changes the configuration file, or the program, of the toy."""
    toy, config = tmp_path / "toy", tmp_path / "toy.yaml"
    text = REFUSES_AT_START.format(
        config=config, python=sys.executable, program=program.__file__, port=port
    )
    files.write(toy, text, 0o755)

    def use(content: str, *, argv: tuple[str, ...] = (str(toy),), ports: int = port) -> None:
        def build(_: Context) -> Component:
            health = Health(f"http://127.0.0.1:{port}/healthz")
            return Component("toy", argv, health, files={config: content}, ports=(ports,))

        monkeypatch.setitem(registry.COMPONENTS, "toy", replace(toyup.spec(port), build=build))

    return use


def test_a_refused_file_brings_the_old_process_back(
    gated: Settings, tmp_path: Path, configured: Callable[..., None]
) -> None:
    configured("right")
    assert cluster.reconcile(gated, "toy") is None
    before = process.load(gated.paths.run, "toy")
    configured("wrong")
    refused = cluster.reconcile(gated, "toy")
    assert "unrecognized feature gate: wrong" in refused.message
    after = process.load(gated.paths.run, "toy")
    assert before is not None and after is not None and after.alive()
    assert (after.argv, after.env, after.fingerprint) == (
        before.argv,
        before.env,
        before.fingerprint,
    )
    assert f"pid {after.identity.pid}" in refused.message
    assert (tmp_path / "toy.yaml").read_text() == "right"
    assert not cluster.is_running(gated, "toy"), "the next up tries it again"
    configured("right")
    assert cluster.is_running(gated, "toy")


def test_a_program_that_cannot_be_executed_brings_the_old_process_back(
    gated: Settings, configured: Callable[..., None]
) -> None:
    configured("right")
    cluster.reconcile(gated, "toy")
    configured("right", argv=("/no/such",))
    assert "/no/such" in cluster.reconcile(gated, "toy").message
    after = process.load(gated.paths.run, "toy")
    assert after is not None and after.alive()


def test_a_port_that_is_in_use_brings_the_old_process_back(
    gated: Settings, configured: Callable[..., None]
) -> None:
    configured("right")
    cluster.reconcile(gated, "toy")
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]
        configured("changed", ports=busy)
        assert f"port {busy}" in cluster.reconcile(gated, "toy").message
    after = process.load(gated.paths.run, "toy")
    assert after is not None and after.alive()


def test_if_neither_starts_both_reasons_are_printed(
    gated: Settings, tmp_path: Path, configured: Callable[..., None]
) -> None:
    configured("right")
    cluster.reconcile(gated, "toy")
    configured("wrong")
    (tmp_path / "toy").write_text("#!/bin/sh\nread line\necho broken meanwhile; exit 1\n")
    failed = cluster.reconcile(gated, "toy")
    assert failed.message.count("broken meanwhile") == 2
    assert "does not start again" in failed.message
    assert process.marked(process.mark("toy", gated.paths.instance)) == []


def test_undebug_restarts_a_component_whose_settings_are_wrong_today(
    gated: Settings, configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured("right")
    cluster.reconcile(gated, "toy")
    before = process.load(gated.paths.run, "toy")
    journal.write(gated, "toy", replace(journal.request(gated, "toy", "debug-exec"), step="ready"))

    def refuse(*_: object) -> Component:
        raise Failure("toy refuses its command line", "correct this setting")

    monkeypatch.setattr(accepted_flags, "with_accepted_flags", refuse)
    monkeypatch.setattr(detach, "detach", lambda *_: False)
    after = swap.leave(gated, "toy")
    assert before is not None and after is not None and after.alive()
    assert after.identity != before.identity and after.argv == before.argv
