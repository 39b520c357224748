"""Docker for the node: the container around the kubelet, and the containers of pods.

The record is of the kubelet itself (Docker reports its pid), so that it is stopped, shown and
debugged like any other component.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tasks.components import docker, kubelet_config
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import damage, exits, files, process, procfs, signals
from tasks.system.process import Record
from tasks.system.run import Result, program, run

PULL_TIMEOUT = 1800.0
"""Seconds to pull an image."""
START_TIMEOUT = 60.0
"""Seconds for Docker to create a container and start its program."""
_POD_LABEL = "io.kubernetes.pod.uid"
"""The label in which dockershim stores the pod of a container."""


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
    """Start a component in a container; pull the image first if Docker does not have it.

    Returns the record of the component itself, not of the `docker run` that forwards its output.
    Raises Failure with the end of the log when the component does not start.
    """
    remove(settings, component)
    image = docker.image(settings, load_checkout(settings.paths.lock).minor)
    state = run_docker(settings, "info", "--format={{.DockerRootDir}}").stdout.strip()
    _pull_if_missing(settings, image)
    cid = _cidfile(settings, component)
    written = files.size(log)
    outer = process.spawn(
        component,
        (
            program(docker.NAME),
            *docker.container(
                settings,
                image,
                argv,
                # the image sets PATH for the programs in it
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
        exit_file=exits.path(settings.paths.run, component),
    )
    started = process.wait_for_program(
        outer, tuple(argv), lambda: _pids(settings, cid), START_TIMEOUT
    )
    if started is None:
        signals.stop(outer.identity)
        remove(settings, component)
        output = process.tail(log, start=written)
        not_shared = "not a shared or slave mount" in output
        raise Failure(
            f"{component} did not start in a container of {image}\n{output}",
            "mounts of pods do not reach a container; run as root: mount --make-rshared /"
            if not_shared
            else f"read {log}",
        )
    return replace(started, env=procfs.environ_of(started.identity.pid))


def remove(settings: Settings, name: str) -> None:
    """Remove a component's container, running or not, if there is one."""
    cid = _cidfile(settings, name)
    container = _container_id(cid)
    if container:
        with suppress(Failure):  # without Docker, the container does not exist
            run_docker(settings, "rm", "--force", container, check=False)
    files.remove(cid)


def remove_pod_containers(settings: Settings) -> None:
    """Remove the containers of this kubelet's pods; those of other kubelets stay."""
    volumes = kubelet_config.root(settings) / "pods"
    if not docker.runs(settings) or not volumes.is_dir():
        return
    pod_uids = {folder.name for folder in volumes.iterdir()}
    columns = f'{{{{.ID}}}} {{{{.Label "{_POD_LABEL}"}}}}'
    with suppress(Failure):
        lines = run_docker(settings, "ps", "--all", f"--format={columns}").stdout.splitlines()
        pairs = (line.partition(" ") for line in lines)
        containers = [cid for cid, _, uid in pairs if uid in pod_uids]
        if containers:
            run_docker(settings, "rm", "--force", *containers, check=False)


def require_runtime(settings: Settings) -> None:
    """Raise Failure when Docker or rkt does not answer, like upstream's script."""
    if docker.runs(settings):
        run_docker(settings, "version", "--format={{.Server.Version}}")
    if settings.node.container_runtime == "rkt":
        run(
            settings.node.rkt_path or "rkt",
            "list",
            timeout=60,
            hint="repair it, or set node.rkt_path (RKT_PATH) to another rkt",
        )


def run_docker(
    settings: Settings, *arguments: str, check: bool = True, limit: float = 120.0
) -> Result:
    """Run the docker client, for at most `limit` seconds.

    Raises Failure when docker is not installed, does not finish in time, or (with `check`) fails.
    """
    hint = "start Docker, or set its address in node.docker_opts (DOCKER_OPTS)"
    argv = [*docker.client(settings.node), *arguments]
    return run(*argv, check=check, timeout=limit, hint=hint)


def _pull_if_missing(settings: Settings, image: str) -> None:
    if run_docker(settings, "image", "inspect", "--format={{.Id}}", image, check=False).code == 0:
        return
    console.progress(f"docker pull {image}")
    result = run_docker(settings, "pull", "--quiet", image, check=False, limit=PULL_TIMEOUT)
    if result.code:
        raise Failure(
            f"Docker cannot pull the kubelet's image {image}: {result.tail(1)}",
            "set kubelet.image (KUBELET_IMAGE) to an available image with mount, nsenter and"
            " iptables, or run: docker load",
        )


def _pids(settings: Settings, cidfile: Path) -> list[int]:
    """Return a list with the pid of a container's first process; empty if it does not run."""
    container = _container_id(cidfile)
    if not container:
        return []
    result = run_docker(settings, "inspect", "--format={{.State.Pid}}", container, check=False)
    return [int(result.stdout)] if result.code == 0 and result.stdout.strip() else []


def _container_id(cidfile: Path) -> str:
    """Return the id of a container from the file that Docker wrote; empty without a valid file."""
    text = ""
    with suppress(OSError, damage.DamagedError):
        text = damage.read_text(cidfile).strip()
    return text if re.fullmatch(r"[0-9A-Za-z][\w.-]*", text) else ""


def _cidfile(settings: Settings, name: str) -> Path:
    return settings.paths.run / f"{name}.cid"
