"""etcd: the only component that stores the state of the cluster."""

from __future__ import annotations

from tasks.components import command_line
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.settings import addresses
from tasks.system.ports import Health

NAME = "etcd"
# a single member has no peers, so the kernel picks a free port; hack/lib/etcd.sh keeps 2380 open
_PEER = "http://127.0.0.1:0"


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags of kube::etcd::start, without a fixed peer port."""
    settings = context.settings
    host, port = settings.etcd.host, settings.etcd.port
    return {
        "name": "stepkube",
        "data-dir": settings.paths.etcd,
        "listen-client-urls": addresses.url("http", host, port),
        "advertise-client-urls": addresses.url("http", addresses.loopback_for(host), port),
        "listen-peer-urls": _PEER,
        "initial-advertise-peer-urls": _PEER,
        "initial-cluster": f"stepkube={_PEER}",
        "log-level": settings.etcd.log_level,
        **({"enable-v2": True} if settings.api.storage_backend == "etcd2" else {}),
    }


def build(context: Context) -> Component:
    """Return the component."""
    settings = context.settings
    endpoint = context.facts.health[NAME]
    host, port = addresses.loopback_for(settings.etcd.host), settings.etcd.port
    return Component(
        name=NAME,
        argv=command_line.argv(NAME, context, desired_flags(context)),
        health=Health(addresses.url(endpoint.scheme, host, port, endpoint.path)),
        folders=(settings.paths.etcd,),
        ports=(port,),
    )


SPEC = Spec(
    name=NAME,
    program=Program("tool", NAME),
    build=build,
    flags=desired_flags,
)
