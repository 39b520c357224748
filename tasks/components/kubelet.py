"""kubelet: its configuration file, and flags for settings that are not fields of the file."""

from __future__ import annotations

from pathlib import Path

from tasks.components import (
    command_line,
    containerd,
    docker,
    kubelet_config,
    shared_flags,
    user_flags,
)
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.settings import addresses, cert_files, ip_families
from tasks.settings.groups import Node
from tasks.settings.load import Settings
from tasks.settings.paths import user_files
from tasks.system.ports import Health

NAME = "kubelet"
USER_FLAGS = "kubelet.flags"
AFTER = ("kube-apiserver", "containerd")


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags of start_kubelet that are not fields of the file."""
    settings = context.settings
    return {
        "allow-privileged": settings.api.allow_privileged,
        **shared_flags.logging_flags(settings),
        "chaos-chance": settings.kubelet.chaos_chance,
        "hostname-override": settings.kubelet.hostname_override,
        **_node_address(settings),
        **_cloud(settings),
        "kubeconfig": settings.paths.kubeconfig("kubelet"),
        "keep-terminated-pod-volumes": settings.kubelet.keep_terminated_pod_volumes,
        **({"containerized": True} if settings.kubelet.dockerize else {}),
        **_runtime(context),
        "root-dir": kubelet_config.root(settings),
        "cert-dir": kubelet_config.root(settings) / "pki",
        "cadvisor-port": 0,  # in 1.10, this port serves all clients
        "config": _file(settings),
    }


def build(context: Context) -> Component:
    """Return the component; the user's flags come last, so that they override the others."""
    settings = context.settings
    endpoint = context.facts.health[NAME]
    healthz, root = settings.kubelet.healthz_port, kubelet_config.root(settings)
    return Component(
        name=NAME,
        argv=(
            *command_line.argv(NAME, context, desired_flags(context)),
            *user_flags.arguments(settings, USER_FLAGS),
        ),
        health=Health(addresses.url(endpoint.scheme, "127.0.0.1", healthz, endpoint.path)),
        after=AFTER if containerd.runs(settings) else AFTER[:1],
        env=shared_flags.debug_env(settings),
        image=docker.image(settings, context.minor),
        files={_file(settings): kubelet_config.configuration(context)},
        inputs=(
            *cert_files.kubeconfig_files(settings, "kubelet"),
            *cert_files.pair(settings, "serving-kubelet"),
            kubelet_config.client_ca(settings),
            *user_files(settings.start.cloud_config, settings.kubelet.resolv_conf),
        ),
        folders=(
            root,
            root / "pki",
            root / "volume-plugins",
            kubelet_config.manifests(settings),
            kubelet_config.pod_logs(settings),
        ),
        # the kubelet exits if this file was written with another policy
        state_files={
            root
            / "cpu_manager_state": f'"policyName":"{settings.kubelet.cpumanager_policy or "none"}"',
        },
        sockets=(root / "pod-resources" / "kubelet.sock",),
        # with a sandbox, the forwarder listens on the host's ports
        ports=() if settings.node.sandbox else exposed_ports(settings),
    )


def exposed_ports(settings: Settings) -> tuple[int, ...]:
    """Return the kubelet's ports; the read-only port only if it is set."""
    ports = (settings.kubelet.port, settings.kubelet.healthz_port, settings.kubelet.read_only_port)
    return tuple(filter(None, ports))


def _runtime(context: Context) -> dict[str, command_line.Value]:
    """Return the flags of the runtime, and flags that are fields of the file in later minors."""
    settings = context.settings
    node, image = settings.node, settings.node.image_service_endpoint
    endpoint = containerd.endpoint(settings)
    replaced: dict[str, tuple[str, command_line.Value]] = {
        **(
            {"containerRuntimeEndpoint": ("container-runtime-endpoint", endpoint)}
            if endpoint
            else {}
        ),
        "volumePluginDir": ("volume-plugin-dir", kubelet_config.root(settings) / "volume-plugins"),
        **({"imageServiceEndpoint": ("image-service-endpoint", image)} if image else {}),
    }
    return {
        "container-runtime": node.container_runtime,
        **({"network-plugin": node.net_plugin} if node.net_plugin else {}),
        **(docker.kubelet_flags(node) if docker.runs(settings) else {}),
        **(_rkt(node) if node.container_runtime == "rkt" else {}),
        **{
            flag: value
            for name, (flag, value) in replaced.items()
            if not kubelet_config.has_field(context, name)
        },
        "pod-infra-container-image": containerd.pause_image(settings),
    }


def _node_address(settings: Settings) -> dict[str, command_line.Value]:
    """Return the flag of the node's addresses; with a cloud provider, kubelets accept only one."""
    if not settings.node.sandbox:
        return {}
    found = ip_families.node_addresses(settings)
    in_cloud = settings.start.external_cloud_provider or settings.start.cloud_provider
    return {"node-ip": found[0] if in_cloud else ",".join(found)}


def _cloud(settings: Settings) -> dict[str, command_line.Value]:
    external = settings.start.external_cloud_provider
    default = settings.kubelet.hostname_override if external else ""
    provider_id = settings.kubelet.provider_id or default
    return {
        **shared_flags.cloud_flags(settings),
        **({"provider-id": provider_id} if provider_id else {}),
    }


def _rkt(node: Node) -> dict[str, command_line.Value]:
    flags = {"rkt-path": node.rkt_path, "rkt-stage1-image": node.rkt_stage1_image}
    return {name: value for name, value in flags.items() if value}


def _file(settings: Settings) -> Path:
    return settings.paths.config / "kubelet.yaml"


def _task_deps(settings: Settings) -> tuple[str, ...]:
    """Return the task that builds the pause image, if containerd or Docker needs it."""
    can_import = containerd.runs(settings) or docker.runs(settings)
    return ("image:pause",) if can_import and not settings.node.pause_image else ()


SPEC = Spec(
    name=NAME,
    program=Program("module", NAME),
    build=build,
    flags=desired_flags,
    user_flags=USER_FLAGS,
    after=AFTER,
    part="kubelet",
    sandboxed=True,
    contained=True,
    task_deps=_task_deps,
    start_checks=("cgroups", "container-runtime", "api-server"),
    makes_node=True,
    exposed_ports=exposed_ports,
    port_group="kubelet",
    debug_offset=3,
    certs=(
        "server-ca",
        "client-ca",
        "client-kubelet",
        "kubeconfig-kubelet",
        "serving-kubelet",
    ),
)
