"""A damaged file of the workspace stops no command: it is healed, or set aside and printed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.addons import images
from tasks.addons import tasks as addons
from tasks.build import package_list, recorded
from tasks.build import tasks as build
from tasks.check import mirrors
from tasks.cluster import instance_lock
from tasks.components import registry
from tasks.core.errors import Failure
from tasks.debug import journal
from tasks.editors import tree_files
from tasks.host import file_changes
from tasks.kubernetes import bundle_record, tool_record, tree
from tasks.runtime import container, refused_flags
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import exits, files, partial, process, procfs, sealed, signals
from tests.support import builders, damages
from tests.support.damages import BUILT, DAMAGES, MODULE
from tests.support.doit import doit


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path)}, {}, Path("/dev/null"))


def lock_instance(settings: Settings) -> None:
    with instance_lock.exclusive(settings):
        pass


def lock_component(settings: Settings) -> None:
    with files.locked(settings.paths.run / "kubelet.lock"):
        assert not files.is_locked(settings.paths.run / "etcd.lock")


def resumed(settings: Settings) -> str:
    part = settings.paths.cache / "downloads" / ".x.part"
    try:
        return partial.read_state(part)
    except partial.Changed:
        partial.drop(part)  # as a download does
        return ""


READERS: dict[str, Callable[[Settings], object]] = {
    "kubelet.json": lambda made: process.load(made.paths.run, "kubelet"),
    "kubelet.exit": lambda made: str(
        exits.load(made.paths.run, "kubelet", 1.0, made.paths.log("kubelet"))
    ),
    f"{MODULE}.flags": lambda made: refused_flags.load(made.paths.run, builders.build(MODULE)),
    "kubelet.cid": lambda made: container.remove(made, "kubelet"),
    f"{MODULE}.json": lambda made: journal.load(made, MODULE),
    f"{BUILT}.json": lambda made: build.load_binary(made, BUILT),
    "origin.lock": lambda made: tree.load_checkout(made.paths.lock),
    "bundle.json": bundle_record.imported_bundle,
    f"{MODULE}.sources": lambda made: recorded.digests(made, MODULE).text,
    f"{MODULE}.packages": lambda made: package_list.kept(
        made.paths.sources(MODULE).with_suffix(".packages")
    ),
    "go.json": lambda made: tool_record.load_tool(made, "go"),
    "delve.json": lambda made: tool_record.load_tool(made, "delve"),
    "dns.json": lambda made: addons.load(made, "dns"),
    "pause.json": images.is_pause_loaded,
    "ide.json": tree_files.journals,
    "host.json": lambda made: file_changes.load(made.paths.home),
    f".{MODULE}.json": lambda made: sealed.is_intact(
        made.paths.binaries / "0123456789abcdef" / MODULE
    ),
    "instance.lock": lock_instance,
    "kubelet.lock": lock_component,
    "mirror.json": mirrors.make,
    ".stepkube-origin": lambda made: tool_record.origin_of(made.paths.toolchain / "go1.24.0"),
    ".x.of": resumed,
}


def read(settings: Settings, name: str) -> object:
    try:
        return READERS[name](settings)
    except Failure as failure:
        return failure.hint


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_a_file_is_read_whatever_it_contains(
    chosen: Settings, name: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = damages.write_all(chosen)[name]
    DAMAGES[damage](path)
    content = path.read_bytes() if path.is_file() else b""
    first = read(chosen, name)
    printed = capsys.readouterr().err
    assert first == read(chosen, name)  # it is as if the file did not exist
    aside = list(path.parent.glob(f"{path.name}.damaged*"))
    if not path.is_file() and not path.is_dir():
        assert not path.is_fifo() and not path.is_symlink()
    if aside:
        assert printed.count("\n") == 1 and str(path) in printed and aside[0].name in printed
        assert not content or aside[0].read_bytes() == content
        if damage == "a folder":
            assert (aside[0] / "kept").read_text() == "mine"


@pytest.mark.parametrize("name", READERS)
def test_a_valid_file_stays_and_keys_of_a_later_version_are_ignored(
    chosen: Settings, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = damages.write_all(chosen)[name]
    first = read(chosen, name)
    if path.is_file() and path.read_bytes()[:1] == b"{" and name not in ("ide.json", "mirror.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "of a later version": "x"}))
    assert read(chosen, name) == first
    assert "damaged" not in capsys.readouterr().err


@contextmanager
def running(settings: Settings, name: str, *, program: str = "etcd") -> Iterator[process.Record]:
    """Run a process as a component, with its mark and its record."""
    paths = settings.paths
    argv = (sys.executable, "-c", "import signal; signal.pause()", program)
    env = process.environment(name, paths.instance, {})
    record = process.spawn(
        name, argv, env, cwd=paths.run / name, log=paths.log(name), fingerprint="f"
    )
    process.save(paths.run, record)
    try:
        yield record
    finally:
        signals.stop(record.identity, signals.KILL)


@pytest.mark.parametrize("damage", DAMAGES)
def test_all_commands_work_with_only_damaged_files(chosen: Settings, damage: str) -> None:
    with running(chosen, "etcd") as record:
        paths = damages.write_all(chosen)
        files_of_runs = [process.record_path(chosen.paths.run, "etcd"), *paths.values()]
        for path in files_of_runs:
            DAMAGES[damage](path)
        status = doit(chosen.paths.home, "status")
        lines = {line.split()[0]: line.split() for line in status.stdout.splitlines() if line}
        assert status.returncode == 0, status
        assert lines["etcd"][1:3] == ["normal", str(record.identity.pid)]
        healed = process.load(chosen.paths.run, "etcd")
        assert healed is not None and healed.identity == record.identity
        assert (healed.argv, healed.env) == (record.argv, record.env)
        assert (healed.log, healed.cwd, healed.exe) == (record.log, record.cwd, record.exe)
        for words in ("list", f"undebug:{MODULE}", "down"):
            done = doit(chosen.paths.home, words)
            assert "Traceback" not in done.stdout + done.stderr
            assert done.returncode == 0, (words, done.stdout, done.stderr)
        assert not record.identity.alive()
        assert not process.record_path(chosen.paths.run, "etcd").exists()


def test_a_folder_in_the_place_of_doits_database_stops_no_command(chosen: Settings) -> None:
    (chosen.paths.instance / "doit.sqlite").mkdir(parents=True)
    for words in ("status", "down"):
        done = doit(chosen.paths.home, words)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done


def test_the_journal_is_made_again_from_the_debugger(chosen: Settings) -> None:
    """A process with the arguments of Delve stands for it: only its journal counts here."""
    with running(chosen, MODULE) as component:
        paths = chosen.paths
        pid = str(component.identity.pid)
        pause = (sys.executable, "-c", "import signal; signal.pause()")
        argv = (*pause, "attach", pid, "--listen=127.0.0.1:5", "--only-same-user=false")
        env = process.environment(f"dlv-{MODULE}", paths.instance, {})
        debugger = process.spawn(
            f"dlv-{MODULE}", argv, env, cwd=paths.run, log=paths.log("x"), fingerprint=""
        )
        try:
            files.write(journal.path(chosen, MODULE), "[]")
            found = journal.load(chosen, MODULE)
        finally:
            signals.stop(debugger.identity, signals.KILL)
        assert found == journal.Swap(
            "debug-attach",
            "127.0.0.1:5",
            any_user=True,
            step="ready",
            debugger=debugger.identity,
        )
        files.write(journal.path(chosen, MODULE), "[]")
        without = journal.load(chosen, MODULE)
        assert without is not None and without.broken  # `undebug` restarts the component
        assert without == journal.load(chosen, MODULE)


def test_the_main_process_is_found_among_those_with_its_mark(chosen: Settings) -> None:
    """A child has the mark of its component too."""
    script = "import os, signal; os.fork(); signal.pause()"
    env = process.environment("etcd", chosen.paths.instance, {})
    run = chosen.paths.run
    started = process.spawn(
        "etcd", (sys.executable, "-c", script), env, cwd=run, log=run / "log", fingerprint=""
    )
    mark = process.mark("etcd", chosen.paths.instance)
    assert process.until(lambda: len(process.marked(mark)) == 2, started.identity.alive, 30, 0.01)
    try:
        assert procfs.main_process(process.marked(mark)) == started.identity
    finally:
        for identity in process.marked(mark):
            os.kill(identity.pid, signal.SIGKILL)


def test_every_component_has_another_mark(chosen: Settings) -> None:
    names = [*registry.COMPONENTS, *(f"dlv-{name}" for name in registry.COMPONENTS)]
    assert len({process.mark(name, chosen.paths.instance) for name in names}) == len(names)
