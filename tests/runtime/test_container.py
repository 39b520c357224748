"""A kubelet in a Docker container: its command line, its image, refused settings."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import delve
from tasks.addons import images
from tasks.check import tasks as check
from tasks.cluster import liveness
from tasks.components import docker, kubelet_config, registry
from tasks.components.base import Context
from tasks.core.errors import Failure
from tasks.debug import swap
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.runtime import accepted_flags, pods, processes
from tasks.runtime import container as node_container
from tasks.settings import load as settings
from tasks.settings.load import ROOT, Settings
from tasks.system import exits, files, inherited, process, procfs
from tests.support import toycluster
from tests.support.ports import free_port

HOME = "/workspace"
DOCKER = {"CONTAINER_RUNTIME": "docker", "STEPKUBE_NODE_SANDBOX": "false"}
CONTAINED = {**DOCKER, "DOCKERIZE_KUBELET": "true"}


def load(**environ: str) -> Settings:
    return settings.load({"STEPKUBE_HOME": HOME, **environ}, {}, Path(os.devnull))


def container(chosen: Settings, *argv: str) -> list[str]:
    """Return the arguments of docker that run a kubelet in a container."""
    cidfile, state = Path("/workspace/run/kubelet.cid"), Path("/state")
    command = docker.container(
        chosen,
        "userland:1",
        argv,
        names={"TZ", "HOME"},
        cwd=Path("/workspace/run"),
        cidfile=cidfile,
        state=state,
    )
    assert command[0] == "docker"
    return list(command[1:])


def test_the_command_around_a_kubelet() -> None:
    assert container(load(**CONTAINED), "/workspace/bin/kubelet", "--v=3") == [
        "run",
        "--rm",
        "--cidfile=/workspace/run/kubelet.cid",
        "--log-driver=none",
        "--net=host",
        "--pid=host",
        "--privileged=true",
        "--workdir=/workspace/run",
        "--env=HOME",
        "--env=TZ",
        "--volume=/:/rootfs:ro,rslave",
        "--volume=/dev:/dev",
        "--volume=/run:/run",
        "--volume=/sys:/sys",
        "--volume=/var/run:/var/run",
        "--volume=/state:/state:rslave",
        "--volume=/workspace:/workspace:rslave",
        "--entrypoint=",
        "userland:1",
        "/workspace/bin/kubelet",
        "--v=3",
    ]


def test_docker_and_the_kubelet_use_the_same_address() -> None:
    chosen = load(**CONTAINED, DOCKER_OPTS="-H unix:///x.sock")
    assert container(chosen, "/workspace/bin/kubelet")[:2] == ["--host=unix:///x.sock", "run"]


def test_paths_outside_the_workspace_are_mounted() -> None:
    chosen = load(
        **CONTAINED,
        CLOUD_PROVIDER="aws",
        CLOUD_CONFIG="/etc/cloud.conf",
        POD_MANIFEST_PATH="/manifests",
        CERT_DIR="/certs",
        LOG_DIR="/run/logs",
        CLIENT_CA_FILE="/workspace/ca.crt",
    )
    argv = ("/elsewhere/dlv", "exec", "/workspace/bin/kubelet", "--", "--v=3")
    more = set(container(chosen, *argv)) - set(container(load(**CONTAINED), *argv[1:]))
    credentials = str(Path("~/.aws/credentials").expanduser())
    places = {credentials, "/etc/cloud.conf", "/manifests", "/certs", "/elsewhere/dlv"}
    assert more == {*(f"--volume={place}:{place}" for place in places), "/elsewhere/dlv"}


@pytest.mark.parametrize(
    ("minor", "image"),
    [("1.10", "k8s.gcr.io/hyperkube:v1.10.0"), ("1.13", "k8s.gcr.io/hyperkube:v1.13.0")],
)
def test_the_image_is_from_the_user_or_the_minor(minor: str, image: str) -> None:
    def built(chosen: Settings) -> str:
        context = Context(chosen, facts.parse(minor), Path(f"{HOME}/bin/kubelet"))
        return registry.COMPONENTS["kubelet"].build(context).image

    assert built(load(**CONTAINED)) == image
    assert built(load(**CONTAINED, KUBELET_IMAGE="mine:1")) == "mine:1"
    assert built(load(**DOCKER)) == ""


def test_the_container_has_another_c_library() -> None:
    for chosen, whole in ((load(**CONTAINED), True), (load(**DOCKER), False)):
        assert registry.is_contained(chosen, "kubelet") is whole
        assert not registry.is_contained(chosen, "kube-proxy")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"DOCKERIZE_KUBELET": "true"}, "DOCKERIZE_KUBELET): "),
        ({**DOCKER, "KUBELET_IMAGE": "mine:1"}, "KUBELET_IMAGE): "),
    ],
)
def test_settings_that_conflict_are_refused(
    environ: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: str(name))
    (problem,) = check.problems(load(**environ), Minor(1, 12))
    assert words in problem.message and problem.hint


def test_the_refusal_names_versions_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: str(name))
    (problem,) = check.problems(load(**CONTAINED), Minor(1, 14))
    assert "1.14 does not know DOCKERIZE_KUBELET; 1.10 to 1.13 do" in problem.message


# --- start, debug and stop, with a stand-in for Docker and a real Delve ------------------------

PORT = free_port()


@pytest.fixture(name="box")
def contained(
    tmp_path: Path, toy: Path, dlv: Path, go_version: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Yield settings of a workspace in which the toy runs in a container."""
    programs, folder = tmp_path / "programs", tmp_path / "docker"
    folder.mkdir()
    standin = ROOT / "tests" / "support" / "standindocker.py"
    files.write(programs / "docker", f'#!/bin/sh\nexec {sys.executable} {standin} "$@"\n', 0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("STANDIN", str(folder))
    monkeypatch.setattr(inherited, "INHERITED", (*inherited.INHERITED, "STANDIN"))
    made = settings.load(
        {
            "STEPKUBE_HOME": str(tmp_path),
            "STEPKUBE_DEBUG_BASE_PORT": str(free_port()),
            **CONTAINED,
            "KUBELET_IMAGE": "userland:1",
        }
    )
    toycluster.write(made, toy, dlv, go_version)
    spec = replace(toycluster.spec(PORT), contained=True)
    monkeypatch.setitem(registry.COMPONENTS, "toy", spec)
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", toycluster.accept)
    yield made
    swap.kill(made, "toy")
    processes.stop(made, "toy")


def cidfile(chosen: Settings) -> Path:
    return chosen.paths.run / "toy.cid"


def docker_calls(tmp_path: Path, verb: str) -> list[str]:
    lines = (tmp_path / "docker" / "asked").read_text().splitlines()
    return [line for line in lines if line.startswith(verb)]


def test_the_record_is_of_the_program_not_of_docker(box: Settings, tmp_path: Path) -> None:
    component = processes.desired_component(box, "toy")
    record = processes.start(box, component)
    assert record == process.load(box.paths.run, "toy")
    assert procfs.argv_of(record.identity.pid) == record.argv == component.argv
    assert record.env == procfs.environ_of(record.identity.pid)
    assert (record.env["PATH"], record.env["HOSTNAME"]) == ("/image/bin", "box")
    assert docker_calls(tmp_path, "run")[0].count("--env=PATH") == 0
    assert processes.stop(box, "toy")
    assert not record.identity.alive() and not cidfile(box).exists()
    mark = process.mark("toy", box.paths.instance)
    assert process.marked(mark) == [], "the docker client was stopped too"


def test_how_it_exited_is_known_and_forgotten(box: Settings) -> None:
    record = processes.start(box, processes.desired_component(box, "toy"))
    os.kill(record.identity.pid, signal.SIGKILL)
    written = exits.path(box.paths.run, "toy")
    assert process.until(written.exists, lambda: True, 60.0)
    assert "SIGKILL" in str(liveness.how_it_died(box, record))
    assert not processes.stop(box, "toy")
    assert not [path for path in box.paths.run.glob("toy.*") if path.suffix in (".exit", ".part")]
    assert not cidfile(box).exists()


@pytest.mark.parametrize("how", ["attach", "exec"])
def test_it_is_debugged_like_any_other(box: Settings, how: str) -> None:
    first = processes.start(box, processes.desired_component(box, "toy"))
    inside = toycluster.enter(box, swap.request(box, "toy", swap.as_mode(how)))
    assert procfs.argv_of(inside.identity.pid) == first.argv
    assert delve.tracer(inside.identity.pid)
    assert inside.identity == first.identity or how == "exec"
    back = swap.leave(box, "toy")
    assert back is not None and not delve.tracer(back.identity.pid)
    assert procfs.argv_of(back.identity.pid) == first.argv
    assert procfs.environ_of(back.identity.pid) == first.env
    assert back.identity == first.identity or how == "exec"


def test_an_old_container_is_removed_before_the_start(box: Settings, tmp_path: Path) -> None:
    files.write(cidfile(box), "old\n")
    processes.start(box, processes.desired_component(box, "toy"))
    assert docker_calls(tmp_path, "rm") == ["rm --force old"]
    assert cidfile(box).read_text() == "container"


@pytest.mark.parametrize(
    ("image", "said", "fix"),
    [
        ("none:1", "image none:1: manifest unknown", "KUBELET_IMAGE"),
        ("broken:1", "container of broken:1", "mount --make-rshared /"),
    ],
)
def test_a_container_that_cannot_start_is_reported_with_the_fix(
    box: Settings, image: str, said: str, fix: str
) -> None:
    chosen = replace(box, kubelet=replace(box.kubelet, image=image))
    with pytest.raises(Failure) as caught:
        processes.start(chosen, processes.desired_component(chosen, "toy"))
    assert said in caught.value.message and fix in caught.value.hint
    assert process.load(box.paths.run, "toy") is None and not cidfile(box).exists()


def test_only_the_containers_of_this_nodes_pods_are_removed(box: Settings, tmp_path: Path) -> None:
    (kubelet_config.root(box) / "pods" / "uid-1").mkdir(parents=True)
    files.write(tmp_path / "docker" / "pods", "c1 uid-1\nc2 uid-2\nc3 \nc4 uid-1\n")
    pods.stop(box)
    assert docker_calls(tmp_path, "rm") == ["rm --force c1 c4"]
    pods.stop(replace(box, node=replace(box.node, container_runtime="remote")))
    assert len(docker_calls(tmp_path, "ps")) == 1, "Docker is not called for another runtime"


def test_images_go_where_the_kubelet_looks(box: Settings, tmp_path: Path) -> None:
    assert images.import_archive(box, tmp_path / "web.tar") == ["web:1"]
    assert docker_calls(tmp_path, "load") == [f"load --input={tmp_path}/web.tar"]


@pytest.mark.parametrize(("code", "works"), [(0, True), (1, False)])
def test_rkt_must_answer_before_the_kubelet_starts(tmp_path: Path, code: int, works: bool) -> None:
    rkt = tmp_path / "rkt"
    says = f'test "$*" = list || exit 9\necho no pods >&2\nexit {code}'
    files.write(rkt, f"#!/bin/sh\n{says}\n", 0o755)
    chosen = load(CONTAINER_RUNTIME="rkt", RKT_PATH=str(rkt), STEPKUBE_NODE_SANDBOX="false")
    assert not check.problems(chosen, Minor(1, 10))
    if works:
        node_container.require_runtime(chosen)
        return
    with pytest.raises(Failure, match="no pods") as caught:
        node_container.require_runtime(chosen)
    assert "RKT_PATH" in caught.value.hint


def test_rkt_is_refused_where_the_kubelet_does_not_support_it() -> None:
    chosen = load(CONTAINER_RUNTIME="rkt", STEPKUBE_NODE_SANDBOX="false")
    (problem,) = check.problems(chosen, Minor(1, 11))
    assert "1.11 does not support rkt; only 1.10" in problem.message
