"""What the builders share: command lines, and names of files and addresses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from tasks.components.base import Component, Context
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.settings.load import Settings
from tasks.system.ports import Health

Value = str | int | float | bool | Path
_TRUE = ("true", "t", "1")
Flags = Mapping[str, Value]
"""Flag names without dashes, in order, with their values."""


def argv(component: str, context: Context, wanted: Flags) -> tuple[str, ...]:
    """Return the command line: the program and, of the wanted flags, those it takes."""
    taken = {
        name: value for name, value in wanted.items() if is_supported(component, context, name)
    }
    return (str(context.binary), *(f"--{name}={text(value)}" for name, value in taken.items()))


def unsupported(component: str, context: Context, wanted: Flags) -> tuple[str, ...]:
    """Return the wanted flags that the program does not take, for `explain`."""
    return tuple(name for name in wanted if not is_supported(component, context, name))


def is_supported(component: str, context: Context, name: str) -> bool:
    """Tell whether the program takes a flag: its own --help decides, else the facts.

    A deprecated flag is hidden from --help although it works, so for those the facts decide.
    """
    if context.flags is None or facts.flag_hidden(component, name):
        return facts.flag_known(component, name, context.minor)
    return name in context.flags


def text(value: Value) -> str:
    """Return a value as a Go program reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def logging_flags(settings: Settings) -> dict[str, Value]:
    """Return the flags that decide how much is logged."""
    return {"v": settings.logs.level, "vmodule": settings.logs.spec}


def feature_gates(context: Context) -> dict[str, bool]:
    """Return the feature gates of all components."""
    settings = context.settings
    items = [item.strip().partition("=") for item in settings.start.feature_gates.split(",")]
    gates = {name.strip(): value.strip().lower() in _TRUE for name, _, value in items if name}
    if settings.api.pod_priority_preemption and context.facts.pod_priority_alpha:
        gates["PodPriority"] = True
    return gates


def feature_gates_flag(context: Context) -> dict[str, Value]:
    """Return the feature gates as a flag."""
    gates = feature_gates(context)
    return {"feature-gates": ",".join(f"{name}={text(on)}" for name, on in gates.items())}


def cloud_flags(settings: Settings) -> dict[str, Value]:
    """Return the cloud provider's flags; empty values say `none`, as upstream does."""
    if settings.start.external_cloud_provider:
        return {"cloud-provider": "external"}
    return {
        "cloud-provider": settings.start.cloud_provider,
        "cloud-config": absolute(settings.start.cloud_config),
    }


def leader_election_flags(settings: Settings) -> dict[str, Value]:
    """Say whether leaders are elected: as the user says, else not where a pause may last."""
    told = settings.start.leader_elect
    if told != "auto":
        return {"leader-elect": told == "true"}
    return {"leader-elect": False} if settings.debug.pause_tolerant else {}


def emulated_version_flags(settings: Settings) -> dict[str, Value]:
    """Return the older minor to behave like, as the flag wants it."""
    minor = emulated_minor(settings)
    return {"emulated-version": f"kube={minor}"} if minor else {}


def emulated_minor(settings: Settings) -> str:
    """Return the minor to behave like, such as 1.34; it may be written kube=v1.34 too."""
    return settings.start.emulated_version.removeprefix("kube=").removeprefix("v")


NO_HTTP2_PING_ENV = {"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "0"}
"""Keeps a client of client-go from giving up, after 45 s, a server that stands at a breakpoint."""


def debug_env(settings: Settings) -> dict[str, str]:
    """Return the variables that turn programming errors into panics, and make clients patient."""
    return {
        "KUBE_CACHE_MUTATION_DETECTOR": text(settings.start.cache_mutation_detector),
        "KUBE_PANIC_WATCH_DECODE_ERROR": text(settings.start.panic_watch_decode_error),
        **(NO_HTTP2_PING_ENV if settings.debug.pause_tolerant else {}),
    }


def pair(settings: Settings, stem: str) -> tuple[Path, Path]:
    """Return the paths of a certificate and of its key."""
    return settings.paths.certs / f"{stem}.crt", settings.paths.certs / f"{stem}.key"


def service_account_key(settings: Settings) -> Path:
    """Return the key that signs service account tokens."""
    own = settings.certs.service_account_key
    return Path(absolute(own)) if own else settings.paths.certs / "service-account.key"


def controller_component(
    name: str, context: Context, argv: tuple[str, ...], port: int, inputs: tuple[Path, ...]
) -> Component:
    """Describe a component that serves one loopback port and works through kube-apiserver."""
    endpoint = context.facts.health[name]
    return Component(
        name=name,
        argv=argv,
        health=Health(url(endpoint.scheme, "127.0.0.1", port, endpoint.path)),
        after=("kube-apiserver",),
        env=debug_env(context.settings),
        inputs=(*inputs, *client_authorities(context.settings)),
        ports=(port,),
    )


def kubeconfig_files(settings: Settings, name: str) -> tuple[Path, ...]:
    """Return a kubeconfig and the files it names."""
    authority, _ = pair(settings, "server-ca")
    return (settings.paths.kubeconfig(name), authority, *pair(settings, f"client-{name}"))


def token_file(settings: Settings) -> Path:
    """Return the file that says whose the administrator's token is."""
    return settings.paths.certs / "tokens.csv"


def file_flags(**files: str) -> dict[str, Value]:
    """Return the flags whose files the user named, without the others."""
    return {name: absolute(value) for name, value in files.items() if value}


def extra_flags(settings: Settings, key: str) -> list[str]:
    """Return the flags a user adds by a setting, split like a shell does."""
    try:
        return shlex.split(settings.value(key))
    except ValueError as error:
        source = settings.source(key)
        raise Failure(f"{source}: {str(error).lower()}", "quote it like a shell wants") from error


def absolute(value: str) -> str:
    """Return a file the user names, independent of the working directory; empty stays empty."""
    return str(Path(value).expanduser().absolute()) if value else ""


def user_files(*values: str) -> tuple[Path, ...]:
    """Return the files the user names, without those not named."""
    return tuple(Path(absolute(value)) for value in values if value)


def url(scheme: str, address: str, port: int, tail: str = "") -> str:
    """Return the URL of a name, an IPv4 or an IPv6 address."""
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}{tail}"


def loopback_for(address: str) -> str:
    """Return the address to call a server at that listens on `address`, which may mean `all`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104


def serving_port(component: str, context: Context, secure: int, insecure: int) -> int:
    """Return the port of a component that older releases serve by http only."""
    scheme = context.facts.health[component].scheme
    return secure if scheme == "https" else insecure


def serving_flags(
    component: str, context: Context, port: int, kubeconfig: Path
) -> dict[str, Value]:
    """Serve on one loopback port: https where there is https, and then no insecure one."""
    if context.facts.health[component].scheme == "http":
        return {"address": "127.0.0.1", "port": port}
    return {
        "authentication-kubeconfig": kubeconfig,
        **_client_authority_flags(context.settings),
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "port": 0,
    }


def _client_authority_flags(settings: Settings) -> dict[str, Value]:
    """Tell a component whom to believe, so that it does not ask kube-apiserver for it.

    It would ask again every 10 s while kube-apiserver stands at a breakpoint: hundreds of requests
    whose askers have gone, for which the request that was held has to wait when it goes on.
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


def client_authorities(settings: Settings) -> tuple[Path, Path]:
    """Return the CAs that servers believe of clients, and of a proxy that speaks for them."""
    return settings.paths.certs / "client-ca.crt", settings.paths.certs / "request-header-ca.crt"
