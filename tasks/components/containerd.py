"""containerd: the private container runtime of the node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks import files, templates
from tasks.components import flags, registries
from tasks.components.base import Component, Context, Health
from tasks.settings import Settings

NAME = "containerd"
AFTER: tuple[str, ...] = ()
CERTS: tuple[str, ...] = ()
PAUSE = "registry.k8s.io/pause:3.10"
"""The image that holds a pod's namespaces; every kubelet works with it."""


@dataclass(frozen=True)
class Tools:
    """What containerd finds beside it.

    `config` is the format of its file: containerd 1.6 and 1.7 read 2, and 2.x converts it; only
    2.x reads 3.
    """

    config: int = 2
    runc: str = "runc"
    cni: Path = Path("/usr/lib/cni")


def installed_plugins() -> Path | None:
    """Return the folder in which a distribution or Kubernetes' own script puts CNI plugins."""
    folders = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
    return next((folder for folder in folders if (folder / "bridge").is_file()), None)


def runs(chosen: Settings) -> bool:
    """Tell whether there is a private runtime; else the user named one."""
    return not chosen.node.container_runtime_endpoint


def endpoint(chosen: Settings) -> str:
    """Return the runtime's endpoint, as the kubelet takes it."""
    return chosen.node.container_runtime_endpoint or f"unix://{socket(chosen)}"


def socket(chosen: Settings) -> Path:
    """Return the private runtime's socket, which host and sandbox see at the same path."""
    return chosen.paths.run / "containerd.sock"


def wanted(context: Context) -> flags.Wanted:
    """Return the flags."""
    return {"config": _file(context.settings)}


def build(context: Context, tools: Tools = Tools()) -> Component:
    """Describe containerd; it is ready when its socket accepts a connection."""
    chosen = context.settings
    return Component(
        name=NAME,
        argv=flags.argv(NAME, context, wanted(context)),
        health=Health(f"unix://{socket(chosen)}"),
        after=AFTER,
        files={
            _file(chosen): configuration(chosen, tools),
            _networks(chosen) / "10-stepkube.conflist": network(chosen),
            **{_hosts(chosen) / name / "hosts.toml": text
               for name, text in registries.hosts(chosen).items()},
        },
        folders=(chosen.paths.config, chosen.paths.run, _networks(chosen), _root(chosen)),
    )


def configuration(chosen: Settings, tools: Tools) -> str:
    """Render the configuration file."""
    return templates.render(
        "containerd.toml.j2",
        config=tools.config,
        runc=tools.runc,
        plugins=str(tools.cni),
        root=str(_root(chosen)),
        state=str(_state(chosen)),
        socket=str(socket(chosen)),
        networks=str(_networks(chosen)),
        pause=PAUSE,
        hosts=str(_hosts(chosen)) if chosen.mirror.images else "",
    )


def network(chosen: Settings) -> str:
    """Render the pod network: a bridge with addresses out of the cluster's range."""
    # inside the sandbox, addresses live exactly as long as the pods that have them
    leases = Path("/run/cni-ipam") if chosen.node.sandbox else chosen.paths.instance / "ipam"
    return templates.render(
        "cni.conflist.j2", subnet=chosen.controller_manager.cluster_cidr, leases=str(leases)
    )


def _state(chosen: Settings) -> Path:
    """Return the folder of what must not outlive a boot; the sandbox has a /run of its own."""
    return Path("/run/containerd" if chosen.node.sandbox else f"/run/stepkube-{chosen.name}")


def _root(chosen: Settings) -> Path:
    return chosen.paths.instance / "containerd"


def _networks(chosen: Settings) -> Path:
    return chosen.paths.config / "cni"


def _hosts(chosen: Settings) -> Path:
    """Return the folder of the image mirrors: another one for others, so that none is left over."""
    content = [part for pair in sorted(registries.hosts(chosen).items()) for part in pair]
    return chosen.paths.config / "registries" / files.digest(*content)[:12]


def _file(chosen: Settings) -> Path:
    return chosen.paths.config / "containerd.toml"
