"""Components that serve one loopback port and are clients of kube-apiserver."""

from __future__ import annotations

from pathlib import Path

from tasks.components import connections
from tasks.components.base import Component, Context
from tasks.components.command_line import Value
from tasks.components.shared_flags import debug_env
from tasks.settings.addresses import url
from tasks.settings.cert_files import client_authorities
from tasks.settings.load import Settings
from tasks.system.ports import Health


def port(component: str, context: Context, secure: int, insecure: int) -> int:
    """Return the port of a component: the https port, or the http port of older releases."""
    scheme = context.facts.health[component].scheme
    return secure if scheme == "https" else insecure


def flags(component: str, context: Context, port: int, kubeconfig: Path) -> dict[str, Value]:
    """Return the flags to serve on one loopback port: https if the minor supports it, else http."""
    if context.facts.health[component].scheme == "http":
        # every user of this machine can connect to this port, so it must not serve profiles
        return {"address": "127.0.0.1", "port": port, "profiling": False}
    return {
        "authentication-kubeconfig": kubeconfig,
        **_client_authority_flags(context.settings),
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "port": 0,
    }


def _client_authority_flags(settings: Settings) -> dict[str, Value]:
    """Pass the client and request-header CAs, so that the component does not fetch them.

    A component that fetches them asks kube-apiserver again every 10 s while kube-apiserver is
    paused at a breakpoint. These are hundreds of requests whose clients are gone, and after the
    pause the paused request would wait for them.
    """
    if not settings.debug.pause_tolerant:
        return {}
    client, header = client_authorities(settings)
    return {
        "authentication-skip-lookup": True,
        "client-ca-file": client,
        "requestheader-client-ca-file": header,
        "requestheader-allowed-names": "system:auth-proxy",
    }


def controller(
    name: str, context: Context, argv: tuple[str, ...], port: int, inputs: tuple[Path, ...]
) -> Component:
    """Return a component that serves one loopback port and is a client of kube-apiserver."""
    endpoint = context.facts.health[name]
    return Component(
        name=name,
        argv=argv,
        health=Health(url(endpoint.scheme, "127.0.0.1", port, endpoint.path)),
        after=("kube-apiserver",),
        env=debug_env(context.settings),
        inputs=(*inputs, *client_authorities(context.settings)),
        ports=(port,),
        networks=connections.networks(context),
        notes=connections.notes(context),
    )
