"""Docker as the kubelet's runtime, and the container of a kubelet of 1.10 to 1.13.

The kubelet's flags for dockershim (1.24 removed it), and the `docker run` around the kubelet.
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
DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"
SHARED_FOLDERS = ("/dev", "/run", "/sys", "/var/run")
"""Folders of the host that a kubelet in a container can write to."""
_CREDENTIALS = {"aws": "~/.aws/credentials", "gce": "~/.config/gcloud"}


def runs(settings: Settings) -> bool:
    """Return whether the kubelet's runtime is Docker."""
    return settings.node.container_runtime == NAME


def kubelet_flags(node: Node) -> dict[str, command_line.Value]:
    """Return the kubelet's flags for Docker; a CRI runtime configures its network itself."""
    flags = {
        "docker-endpoint": endpoint(node.docker_opts),
        "docker-root": absolute(node.docker_root),
        "cni-conf-dir": absolute(node.cni_conf_dir or node.cni_config_dir),
        "cni-bin-dir": absolute(node.cni_bin_dir),
    }
    return {name: value for name, value in flags.items() if value}


def endpoint(options: str) -> str:
    """Return the address in Docker's options, or an empty text.

    Raises Failure for any other option: the kubelet has no flag for it.
    """
    arguments = shlex.split(options)
    if not arguments:
        return ""
    name, equals, address = arguments[0].partition("=")
    address = address if equals else (arguments[1] if len(arguments) > 1 else "")
    if name not in ("-H", "--host") or not address or len(arguments) > (1 if equals else 2):
        raise Failure(
            f"the kubelet does not support these options of Docker: {options!r}",
            f"set only the address, for example --host={DEFAULT_ENDPOINT}",
        )
    return address


def client(node: Node) -> list[str]:
    """Return the start of every docker command line, with the address that the kubelet uses."""
    address = endpoint(node.docker_opts)
    return [NAME, *([f"--host={address}"] if address else [])]


def image(settings: Settings, minor: Minor) -> str:
    """Return the image of the kubelet's container; empty for a kubelet on the host.

    The kubelet itself is the one that stepkube built, so that it can be debugged. The image
    provides mount, nsenter, iptables and similar programs.
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
    """Return the command that runs a kubelet in a container, like start_kubelet of 1.12.

    Every file and folder of the kubelet has the same path in the container as on the host.
    `names` are variables whose values Docker takes from its environment, `state` is the folder of
    Docker's state. The command differs from upstream's where upstream's fails: /sys is writable,
    for the control groups of pods; and /run/xtables.lock is part of /run, because Docker would
    create a folder of that name if the file did not exist.
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
        *(f"--volume={folder}:{folder}" for folder in SHARED_FOLDERS),
        *(f"--volume={path}:{path}:rslave" for path in (state, settings.paths.home)),
        *(f"--volume={path}:{path}" for path in _outside_paths(settings, argv)),
        "--entrypoint=",
        image,
        *argv,
    )


def _outside_paths(settings: Settings, argv: Sequence[str]) -> Iterator[Path]:
    """Yield the paths that a kubelet needs outside the workspace and the shared folders."""
    paths, node, kubelet = settings.paths, settings.node, settings.kubelet
    credentials = _CREDENTIALS.get(settings.start.cloud_provider, "")
    needed = (
        paths.certs,
        paths.config,
        paths.logs,
        *(Path(argument) for argument in argv if argument.startswith("/")),
        *user_files(
            kubelet.pod_manifest_path,
            kubelet.client_ca_file,
            kubelet.resolv_conf,
            settings.start.cloud_config,
            credentials,
            node.cni_conf_dir,
            node.cni_config_dir,
            node.cni_bin_dir,
        ),
    )
    covered = (settings.paths.home, *map(Path, SHARED_FOLDERS))
    for path in dict.fromkeys(needed):
        if not any(path.is_relative_to(folder) for folder in covered):
            yield path
