"""etcd: the only component that stores the state of the cluster."""

from __future__ import annotations

from tasks.components import command_line
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.settings import addresses, cert_files
from tasks.settings.load import Settings
from tasks.system.ports import Health

NAME = "etcd"
# a single member has no peers, so the kernel picks a free port; hack/lib/etcd.sh keeps 2380 open
_PEER = "https://127.0.0.1:0"
_PLAIN = "--listen-client-urls=http://"


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags of kube::etcd::start, with TLS and without a fixed peer port.

    etcd ignores the --initial flags when the data folder has a member. So a member that was created
    with http URLs keeps its objects.
    """
    settings = context.settings
    host, port = settings.etcd.host, settings.etcd.port
    authority, _ = cert_files.pair(settings, "etcd-ca")
    crt, key = cert_files.pair(settings, "serving-etcd")
    return {
        "name": "stepkube",
        "data-dir": settings.paths.etcd,
        "listen-client-urls": addresses.url("https", host, port),
        "advertise-client-urls": addresses.url("https", addresses.loopback_for(host), port),
        "listen-peer-urls": _PEER,
        "initial-advertise-peer-urls": _PEER,
        "initial-cluster": f"stepkube={_PEER}",
        "client-cert-auth": True,
        "trusted-ca-file": authority,
        "cert-file": crt,
        "key-file": key,
        "peer-client-cert-auth": True,
        "peer-trusted-ca-file": authority,
        "peer-cert-file": crt,
        "peer-key-file": key,
        "log-level": settings.etcd.log_level,
        **({"enable-v2": True} if settings.api.storage_backend == "etcd2" else {}),
    }


def client_flags(settings: Settings) -> command_line.Flags:
    """Return the flags of kube-apiserver that connect it to etcd."""
    host, port = addresses.loopback_for(settings.etcd.host), settings.etcd.port
    authority, crt, key = cert_files.etcd_client(settings)
    return {
        "etcd-servers": addresses.url("https", host, port),
        "etcd-cafile": authority,
        "etcd-certfile": crt,
        "etcd-keyfile": key,
    }


def build(context: Context) -> Component:
    """Return the component."""
    settings = context.settings
    endpoint = context.facts.health[NAME]
    host, port = addresses.loopback_for(settings.etcd.host), settings.etcd.port
    return Component(
        name=NAME,
        argv=command_line.argv(NAME, context, desired_flags(context)),
        health=Health(
            addresses.url(endpoint.scheme, host, port, endpoint.path),
            certificate=cert_files.pair(settings, "client-etcd"),
        ),
        inputs=(
            cert_files.pair(settings, "etcd-ca")[0],
            *cert_files.pair(settings, "serving-etcd"),
        ),
        folders=(settings.paths.etcd,),
        ports=(port,),
    )


def health_of(component: Component, argv: tuple[str, ...]) -> Health:
    """Return the health check of a running etcd; an earlier release started it without TLS."""
    url = component.health.url
    if not any(item.startswith(_PLAIN) for item in argv):
        return component.health
    return Health(url.replace("https://", "http://", 1))


SPEC = Spec(
    name=NAME,
    program=Program("tool", NAME),
    build=build,
    flags=desired_flags,
    health_of=health_of,
    certs=("etcd-ca", "serving-etcd", "client-etcd"),
)
