"""Docker as the kubelet's runtime: what dockershim, gone with 1.24, has to be told."""

from __future__ import annotations

import shlex

from tasks.components import flags
from tasks.failure import Failure
from tasks.options import Node

USUAL = "unix:///var/run/docker.sock"


def flags_of(node: Node) -> dict[str, flags.Value]:
    """Return the kubelet's flags; a CRI runtime knows its network itself and has none of them."""
    words = {
        "docker-endpoint": endpoint(node.docker_opts),
        "docker-root": flags.path(node.docker_root),
        "cni-conf-dir": flags.path(node.cni_conf_dir or node.cni_config_dir),
        "cni-bin-dir": flags.path(node.cni_bin_dir),
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
