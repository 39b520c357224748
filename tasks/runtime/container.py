"""What Docker does for the node: a container around the kubelet, and the containers of pods.

The recorded process is the kubelet itself, whose pid Docker tells, so that it is stopped, looked at
and debugged like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tasks.components import docker, kubelet_config
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import process, procfs, signals
from tasks.system.process import Record
from tasks.system.run import Result, program, run

PULL = 1800.0
"""Seconds an image may take to be pulled."""
START = 60.0
"""Seconds Docker may take to make a container and start its program."""
_POD = "io.kubernetes.pod.uid"
"""Label by which dockershim says whose pod a container is of."""


def spawn(
    settings: Settings,
    component: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path,
    log: Path,
    fingerprint: str,
) -> Record:
    """Start a component in a container, whose image is pulled first when Docker has it not.

    The record names the component itself, not the `docker run` that passes its output on.
    """
    remove(settings, component)
    image = docker.image(settings, load_checkout(settings.paths.lock).minor)
    state = call(settings, "info", "--format={{.DockerRootDir}}").stdout.strip()
    _provide(settings, image)
    cid = _cidfile(settings, component)
    outer = process.spawn(
        component,
        (
            program(docker.NAME),
            *docker.container(
                settings,
                image,
                argv,
                # programs lie elsewhere in the image, which says so itself
                names=env.keys() - {"PATH"},
                cwd=cwd,
                cidfile=cid,
                state=Path(state),
            )[1:],
        ),
        env,
        cwd=cwd,
        log=log,
        fingerprint=fingerprint,
    )
    started = process.wait_for_program(outer, tuple(argv), lambda: _pids(settings, cid), START)
    if started is None:
        signals.stop(outer.identity)
        remove(settings, component)
        said = process.tail(log)
        unshared = "not a shared or slave mount" in said
        raise Failure(
            f"{component} did not start in a container of {image}\n{said}",
            "mounts of pods cannot come through to a container: mount --make-rshared /"
            if unshared
            else f"read {log}",
        )
    return replace(started, env=procfs.environ_of(started.identity.pid))


def remove(settings: Settings, name: str) -> None:
    """Remove the container that a component was in, whatever is left of it."""
    cid = _cidfile(settings, name)
    if cid.is_file():
        with suppress(Failure):  # without a Docker there is no container either
            call(settings, "rm", "--force", cid.read_text().strip(), check=False)
        cid.unlink()


def end_pods(settings: Settings) -> None:
    """Remove the containers of this kubelet's pods: Docker may have some of another one."""
    volumes = kubelet_config.root(settings) / "pods"
    if not docker.runs(settings) or not volumes.is_dir():
        return
    ours = {folder.name for folder in volumes.iterdir()}
    label = f'{{{{.ID}}}} {{{{.Label "{_POD}"}}}}'
    with suppress(Failure):
        lines = call(settings, "ps", "--all", f"--format={label}").stdout.splitlines()
        ended = [cid for cid, _, uid in (line.partition(" ") for line in lines) if uid in ours]
        if ended:
            call(settings, "rm", "--force", *ended, check=False)


def require_runtime(settings: Settings) -> None:
    """Raise Failure when a runtime that is not ours does not answer, as upstream's script does."""
    if docker.runs(settings):
        call(settings, "version", "--format={{.Server.Version}}")
    if settings.node.container_runtime == "rkt":
        run(
            settings.node.rkt_path or "rkt",
            "list",
            timeout=60,
            hint="see why, or name another one in node.rkt_path (RKT_PATH)",
        )


def call(settings: Settings, *words: str, check: bool = True, limit: float = 120.0) -> Result:
    """Call Docker. Raises Failure when it does not run, or, with `check`, does not do it."""
    hint = "start it, or say where it is reached in node.docker_opts (DOCKER_OPTS)"
    argv = [*docker.client(settings.node), *words]
    return run(*argv, check=check, timeout=limit, hint=hint)


def _provide(settings: Settings, image: str) -> None:
    if call(settings, "image", "inspect", "--format={{.Id}}", image, check=False).code == 0:
        return
    console.progress(f"docker pull {image}")
    answer = call(settings, "pull", "--quiet", image, check=False, limit=PULL)
    if answer.code:
        raise Failure(
            f"Docker has no image {image} to run the kubelet in: {answer.tail(1)}",
            "name one that can be had in kubelet.image (KUBELET_IMAGE), or docker load it; it has"
            " to have mount, nsenter and iptables",
        )


def _pids(settings: Settings, cidfile: Path) -> list[int]:
    """Return the pid of a container's first process, none as long as it does not run."""
    container = cidfile.read_text().strip() if cidfile.is_file() else ""
    if not container:
        return []
    told = call(settings, "inspect", "--format={{.State.Pid}}", container, check=False)
    return [int(told.stdout)] if told.code == 0 and told.stdout.strip() else []


def _cidfile(settings: Settings, name: str) -> Path:
    return settings.paths.run / f"{name}.cid"
