"""containerd: the private container runtime of the node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.components import command_line, image_mirrors
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.settings import ip_families, templates
from tasks.settings.load import Settings
from tasks.settings.paths import absolute
from tasks.system import files
from tasks.system.ports import Health

NAME = "containerd"
PAUSE_IMAGE = "localhost/pause:stepkube"
"""The image that keeps a pod's namespaces, built from the tree; see tasks/addons/images.py."""

PROXY_PORT = 3128
"""Port in the sandbox through which containerd reaches registries (runtime/forwarder.py)."""


@dataclass(frozen=True)
class Tools:
    """The tools that containerd uses, and the version of its configuration file."""

    config: int = 2
    """Version of the file: containerd 1.6 and 1.7 read 2, 2.x converts 2; only 2.x reads 3."""
    runc: str = "runc"
    """The program runc: a name on PATH, or a path."""
    cni: Path = Path("/usr/lib/cni")
    """The folder of the CNI plugins."""


def cni_plugins(settings: Settings) -> Path | None:
    """Return the folder of existing CNI plugins, or None when they must be built."""
    node = settings.node
    if node.cni_bin_dir:
        return Path(absolute(node.cni_bin_dir))
    return None if node.cni_plugins_version else _installed_cni_plugins()


def _installed_cni_plugins() -> Path | None:
    """Return the folder of CNI plugins of a distribution or of upstream's script, or None."""
    folders = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
    return next((folder for folder in folders if (folder / "bridge").is_file()), None)


def runs(settings: Settings) -> bool:
    """Return whether stepkube runs a private containerd; otherwise the user named a runtime."""
    return (
        settings.node.container_runtime == "remote" and not settings.node.container_runtime_endpoint
    )


def endpoint(settings: Settings) -> str:
    """Return the runtime's endpoint for the kubelet's flag; empty for Docker and rkt."""
    if settings.node.container_runtime != "remote":
        return ""
    return settings.node.container_runtime_endpoint or f"unix://{socket(settings)}"


def socket(settings: Settings) -> Path:
    """Return the socket of the private containerd: the same path on the host and in the sandbox."""
    return settings.paths.run / "containerd.sock"


def pause_image(settings: Settings) -> str:
    """Return the name of the pause image: the user's, or the one that stepkube builds."""
    return settings.node.pause_image or PAUSE_IMAGE


def root(settings: Settings) -> Path:
    """Return containerd's folder of images and containers."""
    return settings.paths.instance / "containerd"


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags of containerd."""
    return {"config": _file(context.settings)}


def build(context: Context) -> Component:
    """Return the component; it is ready when its socket accepts a connection."""
    settings, cni = context.settings, context.host_answers.get("cni")
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
                if user_cni_config(settings)
                else {_cni_config(settings) / "10-stepkube.conflist": network(settings)}
            ),
            **{
                _mirrors_folder(settings) / name / "hosts.toml": text
                for name, text in image_mirrors.hosts(settings).items()
            },
        },
        folders=(
            settings.paths.config,
            settings.paths.run,
            root(settings),
            *([] if user_cni_config(settings) else [_cni_config(settings)]),
        ),
    )


def configuration(settings: Settings, tools: Tools) -> str:
    """Return the text of containerd's configuration file."""
    return templates.render(
        "containerd.toml.j2",
        config=tools.config,
        runc=tools.runc,
        plugins=absolute(settings.node.cni_bin_dir) or str(tools.cni),
        root=str(root(settings)),
        state=str(_state(settings)),
        socket=str(socket(settings)),
        networks=str(_cni_config(settings)),
        pause=pause_image(settings),
        hosts=str(_mirrors_folder(settings)) if settings.mirror.images else "",
    )


def _proxy_env(settings: Settings) -> dict[str, str]:
    """Return the proxy and CA variables of containerd."""
    bundle = settings.mirror.ca_bundle
    ca_bundle: dict[str, str] = {"SSL_CERT_FILE": bundle} if bundle else {}
    if not (settings.node.sandbox and settings.node.pull):
        return ca_bundle
    proxy = f"http://127.0.0.1:{PROXY_PORT}"
    return {**ca_bundle, "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}


def network(settings: Settings) -> str:
    """Return the CNI configuration of the pod network: a bridge with addresses of cluster_cidr."""
    # the sandbox and its pods stop together, so a file in its /run never has a stale lease
    leases = Path("/run/cni-ipam") if settings.node.sandbox else settings.paths.instance / "ipam"
    subnets = ip_families.items(settings.controller_manager.cluster_cidr)
    defaults = ("::/0" if ":" in subnet else "0.0.0.0/0" for subnet in subnets)
    return templates.render(
        "cni.conflist.j2",
        ranges=[[{"subnet": subnet}] for subnet in subnets],
        routes=[{"dst": destination} for destination in dict.fromkeys(defaults)],
        leases=str(leases),
    )


def _state(settings: Settings) -> Path:
    """Return the folder for state that a reboot must remove; the sandbox has a private /run."""
    return Path("/run/containerd" if settings.node.sandbox else f"/run/stepkube-{settings.name}")


def user_cni_config(settings: Settings) -> str:
    """Return the folder of the user's CNI configuration, or an empty text; it is only read."""
    return absolute(settings.node.cni_config_dir or settings.node.cni_conf_dir)


def _cni_config(settings: Settings) -> Path:
    return Path(user_cni_config(settings) or settings.paths.config / "cni")


def _mirrors_folder(settings: Settings) -> Path:
    """Return the folder of the hosts.toml files; other mirrors give another folder.

    So no file of an earlier setting stays in it.
    """
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
    tools=lambda settings: () if cni_plugins(settings) else ("cni",),
    host_queries=("cni",),
    start_checks=("cgroups",),
    survivors="containerd-shim",
)
