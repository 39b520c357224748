"""A component that hangs, died or cannot be reached is named, and `up` brings it back."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.cluster import liveness, restart, status
from tasks.cluster import tasks as cluster
from tasks.components import registry
from tasks.core import doit_run
from tasks.debug import journal
from tasks.runtime import port_forwards, processes, sandbox
from tasks.settings.load import Settings
from tasks.system import exits, ports, process, procfs, signals
from tasks.system.ports import Health
from tests.support import toyup


def record(made: Settings) -> process.Record:
    found = process.load(made.paths.run, "toy")
    assert found is not None
    return found


def row(made: Settings) -> status.Row:
    (found,) = [row for row in status.rows(made) if row.name == "toy"]
    return found


def send(made: Settings, number: int) -> process.Record:
    found = record(made)
    os.kill(found.identity.pid, number)
    return found


def age(made: Settings) -> None:
    """Make the toy older than the time that a start may take."""
    process.save(made.paths.run, replace(record(made), since=time.time() - 1000))


def test_a_stopped_component_is_hung_and_continued(gated: Settings) -> None:
    assert cluster.reconcile(gated, "toy") is None
    assert (row(gated).health, row(gated).problem) == ("ok", "")
    stopped = send(gated, signal.SIGSTOP)
    pid = stopped.identity.pid
    assert process.until(lambda: procfs.is_stopped(pid), lambda: True, 10.0)
    hung = row(gated)
    assert hung.health == "hung" and "SIGSTOP" in hung.problem
    assert hung.since is not None and abs(hung.since - time.time()) < 60
    assert not cluster.is_running(gated, "toy")
    assert cluster.reconcile(gated, "toy") is None
    assert f"pid {pid} was stopped" in " ".join(doit_run.current().notes)
    assert record(gated) == stopped and row(gated).health == "ok"
    assert cluster.is_running(gated, "toy")


def test_what_an_earlier_release_started_has_its_own_health_check(
    gated: Settings, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Health(f"http://127.0.0.1:{port}/healthz")
    with_tls = toyup.spec(port, health=Health(f"https://127.0.0.1:{port}/healthz"))
    earlier = replace(with_tls, health_of=lambda *_: plain)
    monkeypatch.setitem(registry.COMPONENTS, "toy", earlier)
    assert cluster.reconcile(gated, "toy") is None
    started = record(gated)
    assert row(gated).health == "ok" and cluster.is_running(gated, "toy")
    assert cluster.reconcile(gated, "toy") is None and record(gated) == started
    monkeypatch.setitem(registry.COMPONENTS, "toy", with_tls)
    assert row(gated).health == "not ready" and not cluster.is_running(gated, "toy")


def test_a_stopped_component_is_ended_by_sigterm(gated: Settings) -> None:
    cluster.reconcile(gated, "toy")
    found = send(gated, signal.SIGSTOP)
    assert signals.stop(found.identity, ((signal.SIGTERM, 10.0),)), "SIGKILL is not needed"


def test_a_component_without_its_port_is_hung_and_restarted(
    gated: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "ANSWER_LIMIT", 0.2)
    cluster.reconcile(gated, "toy")
    before = send(gated, signal.SIGUSR1)
    url = processes.desired_component(gated, "toy").health
    assert process.until(lambda: not ports.healthy(url), before.identity.alive, 10.0)
    assert row(gated).health == "not ready", "it may still start"
    age(gated)
    hung = row(gated)
    assert hung.health == "hung" and url.url in hung.problem and hung.since is not None
    assert not cluster.is_running(gated, "toy")
    assert cluster.reconcile(gated, "toy") is None
    assert not before.identity.alive() and row(gated).health == "ok"
    assert f"pid {before.identity.pid} was not ready" in " ".join(doit_run.current().notes)


def test_a_component_in_the_debugger_is_never_hung(
    gated: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "ANSWER_LIMIT", 0.2)
    cluster.reconcile(gated, "toy")
    before = send(gated, signal.SIGUSR1)
    age(gated)
    me = procfs.identify(os.getpid())
    debugged = replace(journal.request(gated, "toy", "debug-attach"), step="ready", debugger=me)
    journal.write(gated, "toy", debugged)
    try:
        assert cluster.is_running(gated, "toy")
        assert cluster.reconcile(gated, "toy") is None
        assert record(gated).identity == before.identity and before.identity.alive()
        assert row(gated).health == "not ready"
    finally:
        journal.remove(gated, "toy")


def test_what_needs_a_paused_component_is_not_restarted(
    gated: Settings, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "ANSWER_LIMIT", 0.2)
    needs = replace(toyup.spec(port), after=("etcd",))
    monkeypatch.setitem(registry.COMPONENTS, "toy", needs)
    cluster.reconcile(gated, "toy")
    before = send(gated, signal.SIGUSR1)
    age(gated)
    process.save(gated.paths.run, replace(record(gated), component="etcd"))
    monkeypatch.setattr(journal, "is_paused", lambda found: found.component == "etcd")
    try:
        assert cluster.reconcile(gated, "toy") is None
        assert record(gated).identity == before.identity
    finally:
        process.forget(gated.paths.run, "etcd")


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGUSR2, "code 3")]
)
def test_a_component_that_died_says_how(
    gated: Settings, number: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.reconcile(gated, "toy")
    before = send(gated, number)
    written = exits.path(gated.paths.run, "toy")
    assert process.until(written.exists, lambda: True, 10.0)
    died = row(gated)
    assert (died.mode, died.health, died.pid) == ("died", "-", None)
    assert words in died.problem and died.since is not None and died.since >= before.since
    assert ("my last words" in died.last_words) == (number == signal.SIGUSR2)
    status.status(gated, "text", watch=False)
    assert words in capsys.readouterr().out
    cluster.reconcile(gated, "toy")
    assert words in capsys.readouterr().out, "the next up says it too"
    assert restart.stop_one(gated, "toy") is None
    assert not [found for found in status.rows(gated) if found.name == "toy" and found.problem]
    assert process.load(gated.paths.run, "toy") is None and row(gated).mode == "stopped"


def test_without_an_exit_file_the_log_says_when(gated: Settings) -> None:
    cluster.reconcile(gated, "toy")
    found = send(gated, signal.SIGUSR2)
    written = exits.path(gated.paths.run, "toy")
    assert process.until(written.exists, lambda: True, 10.0)
    written.unlink()
    died = row(gated)
    assert died.mode == "died" and "unknown" in died.problem
    assert died.since == Path(found.log).stat().st_mtime
    written.write_text('{"at": 1.0, "status": 0}')
    assert "unknown" in row(gated).problem, "that was a process before it"
    dead = record(gated)
    process.save(gated.paths.run, replace(dead, identity=replace(dead.identity, boot="earlier")))
    assert row(gated).mode == "died" and "machine" in row(gated).problem


def test_a_component_that_died_in_the_debugger_has_no_running_debugger(gated: Settings) -> None:
    cluster.reconcile(gated, "toy")
    me = procfs.identify(os.getpid())
    debugged = replace(journal.request(gated, "toy", "debug-attach"), step="ready", debugger=me)
    journal.write(gated, "toy", debugged)
    try:
        assert "running" in row(gated).debugger
        signals.stop(send(gated, signal.SIGKILL).identity)
        assert row(gated).mode == "died" and "running" not in row(gated).debugger
    finally:
        journal.remove(gated, "toy")


def test_a_forwarder_that_does_not_run_is_shown_and_started_again(
    gated: Settings, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.reconcile(gated, "toy")
    inside = replace(toyup.spec(port), sandboxed=True)
    monkeypatch.setitem(registry.COMPONENTS, "toy", inside)
    monkeypatch.setattr(sandbox, "INIT", "toy")  # its network is the host's
    environment = process.environment(port_forwards.MAIN, gated.paths.instance, {})
    folder = gated.paths.run

    def forward(_: Settings, name: str) -> None:
        started = process.spawn(
            port_forwards.MAIN,
            ["/bin/sleep", "600"],
            environment,
            cwd=folder,
            log=folder / "log",
            fingerprint=name,
        )
        process.save(folder, started)

    monkeypatch.setattr(sandbox, "repair", forward)
    forward(gated, "toy")
    try:
        for number in (signal.SIGKILL, signal.SIGSTOP):
            assert cluster.is_running(gated, "toy") and row(gated).health == "ok"
            running = process.load(folder, port_forwards.MAIN)
            assert running is not None
            pid = running.identity.pid
            os.kill(pid, number)
            gone = lambda: bool(port_forwards.broken(gated, "toy"))  # noqa: E731
            assert process.until(gone, lambda: True, 10.0)
            broken = row(gated)
            assert broken.health == "not ready" and port_forwards.MAIN in broken.problem
            assert not cluster.is_running(gated, "toy")
            assert cluster.reconcile(gated, "toy") is None
            assert port_forwards.MAIN in " ".join(doit_run.current().notes)
            signals.stop(running.identity)
    finally:
        process.stop_marked(
            process.mark(port_forwards.MAIN, gated.paths.instance), signals.KILL, ()
        )
        process.forget(folder, port_forwards.MAIN)
        monkeypatch.setitem(registry.COMPONENTS, "toy", toyup.spec(port))
