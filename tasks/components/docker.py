"""Docker as the kubelet's runtime, and as what a kubelet of 1.10 to 1.13 may itself run in.

What dockershim, gone with 1.24, has to be told, and the container around the kubelet.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tasks.components import command_line
from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.settings.groups import Node
from tasks.settings.load import Settings
from tasks.settings.paths import absolute, user_files

NAME = "docker"
USUAL = "unix:///var/run/docker.sock"
SHARED = ("/dev", "/run", "/sys", "/var/run")
"""Folders of the host that a kubelet in a container writes to, as at home."""
_CREDENTIALS = {"aws": "~/.aws/credentials", "gce": "~/.config/gcloud"}


def runs(settings: Settings) -> bool:
    """Tell whether the kubelet's runtime is Docker."""
    return settings.node.container_runtime == NAME


def flags_of(node: Node) -> dict[str, command_line.Value]:
    """Return the kubelet's flags; a CRI runtime knows its network itself and has none of them."""
    words = {
        "docker-endpoint": endpoint(node.docker_opts),
        "docker-root": absolute(node.docker_root),
        "cni-conf-dir": absolute(node.cni_conf_dir or node.cni_config_dir),
        "cni-bin-dir": absolute(node.cni_bin_dir),
    }
    return {name: value for name, value in words.items() if value}


def endpoint(options: str) -> str:
    """Return the address that Docker's options name, or an empty one.

    Raises Failure for any other option: the kubelet could not be told of it.
    """
    words = shlex.split(options)
    if not words:
        return ""
    name, found, address = words[0].partition("=")
    address = address if found else (words[1] if len(words) > 1 else "")
    if name not in ("-H", "--host") or not address or len(words) > (1 if found else 2):
        raise Failure(
            f"the kubelet knows nothing of Docker's options {options!r}",
            f"name the address alone, for example --host={USUAL}",
        )
    return address


def client(node: Node) -> list[str]:
    """Return the words by which Docker is called, for the address that the kubelet is told."""
    address = endpoint(node.docker_opts)
    return [NAME, *([f"--host={address}"] if address else [])]


def image(settings: Settings, minor: Minor) -> str:
    """Return the image that a kubelet in a container has around it, empty for one on the host.

    The program is the one that is built here, so that it can be debugged: what counts of the image
    is mount, nsenter, iptables and the like.
    """
    kubelet = settings.kubelet
    if not kubelet.dockerize:
        return ""
    return kubelet.image or f"k8s.gcr.io/hyperkube:v{minor}.0"


def container(
    settings: Settings,
    image: str,
    argv: Sequence[str],
    *,
    names: Iterable[str],
    cwd: Path,
    cidfile: Path,
    state: Path,
) -> tuple[str, ...]:
    """Return the command that runs a kubelet in a container, as start_kubelet of 1.12 does it.

    All that the kubelet is told of is inside at its own path. `names` are variables whose values
    Docker takes from its own environment, `state` is the folder of Docker's state. It differs from
    upstream's where that fails: /sys can be written, for the control groups of pods, and
    /run/xtables.lock, which Docker would make a folder if it is not there, is that of /run.
    """
    return (
        *client(settings.node),
        "run",
        "--rm",
        f"--cidfile={cidfile}",
        "--log-driver=none",
        "--net=host",
        "--pid=host",
        "--privileged=true",
        f"--workdir={cwd}",
        *(f"--env={name}" for name in sorted(names)),
        "--volume=/:/rootfs:ro,rslave",
        *(f"--volume={folder}:{folder}" for folder in SHARED),
        *(f"--volume={place}:{place}:rslave" for place in (state, settings.paths.home)),
        *(f"--volume={place}:{place}" for place in _outside(settings, argv)),
        "--entrypoint=",
        image,
        *argv,
    )


def _outside(settings: Settings, argv: Sequence[str]) -> Iterator[Path]:
    """Yield what a kubelet needs that lies neither in the workspace nor in a shared folder."""
    paths, node, kubelet = settings.paths, settings.node, settings.kubelet
    secrets = _CREDENTIALS.get(settings.start.cloud_provider, "")
    places = (
        paths.certs,
        paths.config,
        paths.logs,
        *(Path(word) for word in argv if word.startswith("/")),
        *user_files(
            kubelet.pod_manifest_path,
            kubelet.client_ca_file,
            kubelet.resolv_conf,
            settings.start.cloud_config,
            secrets,
            node.cni_conf_dir,
            node.cni_config_dir,
            node.cni_bin_dir,
        ),
    )
    covered = (settings.paths.home, *map(Path, SHARED))
    for place in dict.fromkeys(places):
        if not any(place.is_relative_to(folder) for folder in covered):
            yield place
