"""cloud-controller-manager, with the flags of start_cloud_controller_manager."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path

from tasks.components import command_line, serving, shared_flags
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.core.errors import Failure
from tasks.settings import cert_files
from tasks.settings.load import Settings
from tasks.settings.paths import absolute, user_files

NAME = "cloud-controller-manager"
AFTER = ("kube-apiserver",)
_EXTERNAL = "start.external_cloud_provider"
_PROVIDER, _CONFIG = "start.cloud_provider", "start.cloud_config"
_OWN = "EXTERNAL_CLOUD_PROVIDER_BINARY"


def runs(settings: Settings) -> bool:
    """Tell whether the cloud is left to it."""
    return settings.start.external_cloud_provider


def own_binary(settings: Settings) -> Path | None:
    """Return the user's own program, or None when it is built from the tree."""
    named = absolute(settings.cloud_controller_manager.binary)
    return Path(named) if named else None


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags; as upstream, it borrows the kubeconfig of kube-controller-manager."""
    settings = context.settings
    kubeconfig = settings.paths.kubeconfig("controller")
    return {
        **shared_flags.logging_flags(settings),
        **shared_flags.feature_gates_flag(context),
        "cloud-provider": settings.start.cloud_provider,
        "cloud-config": absolute(settings.start.cloud_config),
        "configure-cloud-routes": settings.cloud_controller_manager.configure_cloud_routes,
        "kubeconfig": kubeconfig,
        "use-service-account-credentials": True,
        **serving.flags(NAME, context, _port(context), kubeconfig),
        **({"leader-elect": False} if settings.debug.pause_tolerant else {}),
    }


def build(context: Context) -> Component:
    """Describe cloud-controller-manager; the user's flags come last, so that they win."""
    settings = context.settings
    own = own_binary(settings)
    argv = (
        *command_line.argv(NAME, context, desired_flags(context)),
        *command_line.extra_flags(settings, "cloud_controller_manager.flags"),
    )
    inputs = (
        *cert_files.kubeconfig_files(settings, "controller"),
        *user_files(settings.start.cloud_config),
        *((own,) if own else ()),
    )
    made = serving.controller(NAME, context, argv, _port(context), inputs)
    return replace(made, advice=_SAMPLE if context.facts.cloud_sample and own is None else "")


def check(context: Context) -> None:
    """Refuse what hack/local-up-cluster.sh refuses, and a provider that is not compiled in.

    Raises Failure naming the variable, before anything is built or started.
    """
    settings, own = context.settings, own_binary(context.settings)
    if not runs(settings):
        if settings.start.cloud_provider:
            _require_in_tree(context)
        if settings.start.cloud_provider == "openstack":
            _require_config(settings, f"{settings.source(_PROVIDER)}: openstack needs CLOUD_CONFIG")
        return
    if own is None:
        _require_provider(context)
    elif not (own.is_file() and os.access(own, os.X_OK)):
        raise Failure(
            f"{settings.source('cloud_controller_manager.binary')}: {own} is not a program",
            "name an executable file, or unset it to run what the tree has",
        )
    _require_config(settings, f"{settings.source(_EXTERNAL)}: it needs CLOUD_CONFIG")


def _require_config(settings: Settings, needed: str) -> None:
    config = absolute(settings.start.cloud_config)
    if not config:
        raise Failure(needed, "set CLOUD_CONFIG to the cloud provider's configuration file")
    if not Path(config).is_file():
        source = settings.source(_CONFIG)
        raise Failure(f"{source}: the cloud config {config} does not exist", "correct the path")


def _require_provider(context: Context) -> None:
    settings, known = context.settings, context.facts.cloud_providers
    provider = settings.start.cloud_provider
    version = f"Kubernetes {context.minor}"
    if not known:
        raise Failure(
            f"{settings.source(_EXTERNAL)}: {version} has no cloud provider in its tree,"
            " the last ones were removed in 1.31",
            f"set {_OWN} to a cloud provider's own cloud-controller-manager",
        )
    hint = f"{', '.join(known)}; or set {_OWN} to a program that has another"
    if not provider:
        needed = f"{settings.source(_EXTERNAL)}: it needs CLOUD_PROVIDER"
        raise Failure(needed, f"the tree of {version} has {hint}")
    if provider not in known:
        wrong = f"{settings.source(_PROVIDER)}: {provider!r} is no cloud provider"
        raise Failure(f"{wrong} in the tree of {version}", f"choose {hint}")


def _require_in_tree(context: Context) -> None:
    """Refuse a name that the other components do not know: they would end."""
    provider, known = context.settings.start.cloud_provider, context.facts.cloud_providers
    if provider in known:
        return
    near = difflib.get_close_matches(provider, known, n=1)
    raise Failure(
        f"{context.settings.source(_PROVIDER)}: {provider!r} is no cloud provider in the tree of"
        f" Kubernetes {context.minor}, which has {', '.join(known) or 'none'}",
        f"did you mean {near[0]}?"
        if near
        else "set EXTERNAL_CLOUD_PROVIDER=true to run the cloud provider by itself, or unset it",
    )


def _port(context: Context) -> int:
    settings = context.settings.cloud_controller_manager
    return serving.port(NAME, context, settings.secure_port, settings.port)


_SAMPLE = (
    "cmd/cloud-controller-manager of 1.20 is a sample and reads its flags too late, so it cannot"
    f" run as it is: set {_OWN} to another one, or correct its main.go"
)


SPEC = Spec(
    name=NAME,
    program=Program("module", NAME),
    build=build,
    flags=desired_flags,
    after=AFTER,
    optional=runs,
    own_program=own_binary,
    validate=check,
    debug_offset=11,
    certs=(
        "server-ca",
        "client-ca",
        "request-header-ca",
        "client-controller",
        "kubeconfig-controller",
    ),
)
