"""containerd: the private container runtime of the node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.components import command_line, image_mirrors
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.settings import templates
from tasks.settings.load import Settings
from tasks.settings.paths import absolute
from tasks.system import files
from tasks.system.ports import Health

NAME = "containerd"
PAUSE = "localhost/pause:stepkube"
"""The image that holds a pod's namespaces, built from the tree; see tasks/addons/images.py."""

PROXY_PORT = 3128
"""Port in the sandbox through which containerd reaches registries (runtime/forwarder.py)."""


@dataclass(frozen=True)
class Tools:
    """What containerd finds beside it.

    `config` is the format of its file: containerd 1.6 and 1.7 read 2, and 2.x converts it; only
    2.x reads 3.
    """

    config: int = 2
    runc: str = "runc"
    cni: Path = Path("/usr/lib/cni")


def plugins(settings: Settings) -> Path | None:
    """Return the folder of CNI plugins that are there, or None where they have to be made."""
    node = settings.node
    if node.cni_bin_dir:
        return Path(absolute(node.cni_bin_dir))
    return None if node.cni_plugins_version else installed_plugins()


def installed_plugins() -> Path | None:
    """Return the folder in which a distribution or Kubernetes' own script puts CNI plugins."""
    folders = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
    return next((folder for folder in folders if (folder / "bridge").is_file()), None)


def runs(settings: Settings) -> bool:
    """Tell whether there is a private runtime; else the user named one."""
    return (
        settings.node.container_runtime == "remote" and not settings.node.container_runtime_endpoint
    )


def endpoint(settings: Settings) -> str:
    """Return the runtime's endpoint, as the kubelet takes it; Docker and rkt have none."""
    if settings.node.container_runtime != "remote":
        return ""
    return settings.node.container_runtime_endpoint or f"unix://{socket(settings)}"


def socket(settings: Settings) -> Path:
    """Return the private runtime's socket, which host and sandbox see at the same path."""
    return settings.paths.run / "containerd.sock"


def pause(settings: Settings) -> str:
    """Return the name of the pause image: the user's, or the one that is built."""
    return settings.node.pause_image or PAUSE


def root(settings: Settings) -> Path:
    """Return the folder of images and containers."""
    return settings.paths.instance / "containerd"


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags."""
    return {"config": _file(context.settings)}


def build(context: Context) -> Component:
    """Describe containerd; it is ready when its socket accepts a connection."""
    settings, cni = context.settings, context.probed.get("cni")
    tools = Tools(cni=Path(cni)) if cni else Tools()
    return Component(
        name=NAME,
        argv=command_line.argv(NAME, context, desired_flags(context)),
        health=Health(f"unix://{socket(settings)}"),
        env=_proxy_env(settings),
        files={
            _file(settings): configuration(settings, tools),
            **(
                {}
                if own_networks(settings)
                else {_networks(settings) / "10-stepkube.conflist": network(settings)}
            ),
            **{
                _hosts(settings) / name / "hosts.toml": text
                for name, text in image_mirrors.hosts(settings).items()
            },
        },
        folders=(
            settings.paths.config,
            settings.paths.run,
            root(settings),
            *([] if own_networks(settings) else [_networks(settings)]),
        ),
    )


def configuration(settings: Settings, tools: Tools) -> str:
    """Render the configuration file."""
    return templates.render(
        "containerd.toml.j2",
        config=tools.config,
        runc=tools.runc,
        plugins=absolute(settings.node.cni_bin_dir) or str(tools.cni),
        root=str(root(settings)),
        state=str(_state(settings)),
        socket=str(socket(settings)),
        networks=str(_networks(settings)),
        pause=pause(settings),
        hosts=str(_hosts(settings)) if settings.mirror.images else "",
    )


def _proxy_env(settings: Settings) -> dict[str, str]:
    """Return the variables by which containerd reaches registries, and whom it trusts there."""
    trust = {"SSL_CERT_FILE": settings.mirror.ca_bundle} if settings.mirror.ca_bundle else {}
    if not (settings.node.sandbox and settings.node.pull):
        return trust
    proxy = f"http://127.0.0.1:{PROXY_PORT}"
    return {**trust, "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}


def network(settings: Settings) -> str:
    """Render the pod network: a bridge with addresses out of the cluster's range."""
    # inside the sandbox, addresses live exactly as long as the pods that have them
    leases = Path("/run/cni-ipam") if settings.node.sandbox else settings.paths.instance / "ipam"
    return templates.render(
        "cni.conflist.j2", subnet=settings.controller_manager.cluster_cidr, leases=str(leases)
    )


def _state(settings: Settings) -> Path:
    """Return the folder of what must not outlive a boot; the sandbox has a /run of its own."""
    return Path("/run/containerd" if settings.node.sandbox else f"/run/stepkube-{settings.name}")


def own_networks(settings: Settings) -> str:
    """Return the folder of networks that the user named, in which nothing is written."""
    return absolute(settings.node.cni_config_dir or settings.node.cni_conf_dir)


def _networks(settings: Settings) -> Path:
    return Path(own_networks(settings) or settings.paths.config / "cni")


def _hosts(settings: Settings) -> Path:
    """Return the folder of the image mirrors: another one for others, so that none is left over."""
    content = [part for pair in sorted(image_mirrors.hosts(settings).items()) for part in pair]
    return settings.paths.config / "registries" / files.digest(*content)[:12]


def _file(settings: Settings) -> Path:
    return settings.paths.config / "containerd.toml"


SPEC = Spec(
    name=NAME,
    program=Program("installed", NAME),
    build=build,
    flags=desired_flags,
    part="kubelet",
    optional=runs,
    sandboxed=True,
    tools=lambda settings: () if plugins(settings) else ("cni",),
    probes=("cni",),
    start_checks=("cgroups",),
    survivors="containerd-shim",
)
