"""A component that has only a Spec is known to every task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.build import sources
from tasks.build import tasks as build
from tasks.check import ports as port_checks
from tasks.check import tasks as check
from tasks.cluster import restart, status
from tasks.cluster import tasks as cluster
from tasks.components import registry
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.core.errors import Failure
from tasks.debug import breakpoints
from tasks.debug import tasks as debug
from tasks.editors import tasks as editors
from tasks.explain import provenance
from tasks.explain import tasks as explain
from tasks.kubernetes.facts import Minor
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import accepted_flags
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files, process
from tasks.system.ports import Health
from tests.support import toycluster
from tests.support.ports import free_port

PORT = free_port()
NAME = "toy"


def component(context: Context) -> Component:
    argv = (str(context.binary), f"--port={PORT}")
    health = Health(f"http://127.0.0.1:{PORT}/healthz")
    config = {context.settings.paths.config / "toy.yaml": "toy: 1\n"}
    return Component(
        NAME, argv, health, after=("etcd",), files=config, ports=(PORT,), notes=("a toy",)
    )


SPEC = Spec(
    name=NAME,
    program=Program("module", NAME),
    build=component,
    flags=lambda _: {},
    after=("etcd",),
    certs=("server-ca",),
    task_deps=lambda _: ("image:toy",),
    tools=lambda _: ("cni",),
    exposed_ports=lambda _: (4711,),
    debug_offset=13,
)


@pytest.fixture
def made(
    tmp_path: Path, toy: Path, dlv: Path, go_version: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    made = load.load({"STEPKUBE_HOME": str(tmp_path), "START_MODE": "nokubelet,nokubeproxy"})
    toycluster.write(made, toy, dlv, go_version)
    monkeypatch.setitem(registry.COMPONENTS, NAME, SPEC)
    return made


Creator = Callable[[Settings], Iterable[dict[str, Any]]]


def named(made: Settings, creator: Creator, name: str = NAME) -> dict[str, Any]:
    (task,) = [task for task in creator(made) if task.get("name", task.get("basename")) == name]
    return task


def test_it_has_every_task_of_a_component(made: Settings) -> None:
    for creator in (
        sources.task_sources,
        build.task_build,
        cluster.task_start,
        restart.task_stop,
        debug.task_debug,
        debug.task_undebug,
        debug.task_resume,
        breakpoints.task_break,
        explain.task_explain,
    ):
        assert named(made, creator)["actions"]
    start = named(made, cluster.task_start)
    assert start["file_dep"] == [str(made.paths.built(NAME)), str(made.paths.tool("cni"))]
    assert start["task_dep"] == [
        "checkout",
        "build:toy",
        "toolchain:cni",
        "image:toy",
        "certs:server-ca",
        "start:etcd",
    ]
    assert "start:toy" in named(made, cluster.task_up, "up")["task_dep"]
    assert NAME in cluster.components_in_scope(made)
    assert NAME in [row.name for row in status.rows(made)]


def test_its_ports_are_known(made: Settings) -> None:
    delve_port = made.debug.base_port + 13
    assert registry.debug_port(made, NAME) == delve_port
    assert str(delve_port) in named(made, debug.task_debug)["doc"]
    built = {
        name: spec.build(Context(made, Minor(1, 20), Path("/bin", name)))
        for name, spec in registry.COMPONENTS.items()
    }
    assert not list(port_checks.shared_ports(made, built))
    assert SPEC.host_ports(made, built[NAME]) == (PORT, 4711)
    own = made.etcd.port
    (failure,) = port_checks.shared_ports(made, {**built, NAME: replace(built[NAME], ports=(own,))})
    assert "etcd.port" in failure.message and NAME in failure.message
    far = replace(made, debug=replace(made.debug, base_port=65535 - 12))
    (failure,) = port_checks.debug_port_problems(far)
    assert "debug.base_port" in failure.message


def test_it_is_explained_and_offered_to_editors(made: Settings, tmp_path: Path) -> None:
    explanation = explain.explain_component(made, NAME)
    assert [word.text for word in explanation.sections[provenance.FLAGS]] == [f"--port={PORT}"]
    assert [word.text for word in explanation.sections["ports"]] == [str(PORT)]
    files.write(tmp_path / "tree" / "go.mod", "")
    checkout = replace(load_checkout(made.paths.lock), tree=tmp_path / "tree")
    view = editors._view(made, checkout, "localhost", "")
    assert view.ports[NAME] == made.debug.base_port + 13


def test_an_optional_one_runs_only_when_enabled(
    made: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = True
    spec = replace(SPEC, optional=lambda _: enabled)
    for enabled in (True, False):
        monkeypatch.setitem(registry.COMPONENTS, NAME, spec)
        assert (NAME in cluster.components_to_run(made)) is enabled
    kubelets = replace(SPEC, part="kubelet")
    monkeypatch.setitem(registry.COMPONENTS, NAME, kubelets)
    assert NAME not in cluster.components_to_run(made), "START_MODE leaves the kubelet out"


def test_its_refusal_comes_before_the_start(
    made: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(context: Context) -> None:
        raise Failure(f"toy.key: not with {context.minor}", "unset it")

    monkeypatch.setitem(registry.COMPONENTS, NAME, replace(SPEC, validate=refuse))
    with pytest.raises(Failure, match=r"toy\.key"):
        check.require(made, Minor(1, 20))


def test_it_runs_and_is_stopped(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", toycluster.accept)
    assert cluster.reconcile(made, NAME) is None
    try:
        record = process.load(made.paths.run, NAME)
        assert record is not None and record.alive()
        assert cluster.reconcile(made, NAME) is None
        assert process.load(made.paths.run, NAME) == record, "it is not restarted"
        config = made.paths.config / "toy.yaml"
        config.unlink()
        assert not cluster.is_running(made, NAME)
        assert cluster.reconcile(made, NAME) is None
        assert config.read_text() == "toy: 1\n"
        assert cluster.is_running(made, NAME)
        assert process.load(made.paths.run, NAME) == record, "it is not restarted"
    finally:
        assert restart.stop_one(made, NAME) is None
    assert not record.alive() and process.load(made.paths.run, NAME) is None
