"""cloud-controller-manager, with the flags of start_cloud_controller_manager."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path

from tasks.components import command_line, serving, shared_flags, user_flags
from tasks.components.base import Component, Context
from tasks.components.spec import Program, Spec
from tasks.core.errors import Failure
from tasks.settings import cert_files
from tasks.settings.load import Settings
from tasks.settings.paths import absolute, user_files

NAME = "cloud-controller-manager"
USER_FLAGS = "cloud_controller_manager.flags"
AFTER = ("kube-apiserver",)
_EXTERNAL = "start.external_cloud_provider"
_PROVIDER, _CONFIG = "start.cloud_provider", "start.cloud_config"
_BINARY_VARIABLE = "EXTERNAL_CLOUD_PROVIDER_BINARY"


def runs(settings: Settings) -> bool:
    """Return whether cloud-controller-manager, not the other components, talks to the cloud."""
    return settings.start.external_cloud_provider


def user_binary(settings: Settings) -> Path | None:
    """Return the user's program, or None when the program is built from the tree."""
    path = absolute(settings.cloud_controller_manager.binary)
    return Path(path) if path else None


def desired_flags(context: Context) -> command_line.Flags:
    """Return the flags; like upstream, it uses the kubeconfig of kube-controller-manager."""
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
    """Return the component; the user's flags come last, so that they override the others."""
    settings = context.settings
    binary = user_binary(settings)
    argv = (
        *command_line.argv(NAME, context, desired_flags(context)),
        *user_flags.arguments(settings, USER_FLAGS),
    )
    inputs = (
        *cert_files.kubeconfig_files(settings, "controller"),
        *user_files(settings.start.cloud_config),
        *((binary,) if binary else ()),
    )
    component = serving.controller(NAME, context, argv, _port(context), inputs)
    is_sample = context.facts.cloud_sample and binary is None
    return replace(component, advice=_SAMPLE_HINT if is_sample else "")


def check(context: Context) -> None:
    """Raise Failure for cloud settings that cannot work, before anything is built or started.

    It refuses what hack/local-up-cluster.sh refuses, and a provider that is not compiled in. The
    message names the variable.
    """
    settings, binary = context.settings, user_binary(context.settings)
    if not runs(settings):
        if settings.start.cloud_provider:
            _require_in_tree(context)
        if settings.start.cloud_provider == "openstack":
            _require_config(settings, f"{settings.source(_PROVIDER)}: openstack needs CLOUD_CONFIG")
        return
    if binary is None:
        _require_provider(context)
    elif not (binary.is_file() and os.access(binary, os.X_OK)):
        raise Failure(
            f"{settings.source('cloud_controller_manager.binary')}: {binary} is not an executable"
            " file",
            f"set {_BINARY_VARIABLE} to an executable file, or unset it to use the program of the"
            " tree",
        )
    _require_config(
        settings, f"{settings.source(_EXTERNAL)}: an external cloud provider needs CLOUD_CONFIG"
    )


def _require_config(settings: Settings, message: str) -> None:
    config = absolute(settings.start.cloud_config)
    if not config:
        raise Failure(message, "set CLOUD_CONFIG to the cloud provider's configuration file")
    if not Path(config).is_file():
        source = settings.source(_CONFIG)
        raise Failure(f"{source}: the file {config} does not exist", "correct the path")


def _require_provider(context: Context) -> None:
    """Raise Failure for a cloud provider that the tree's own program does not have."""
    settings, providers = context.settings, context.facts.cloud_providers
    provider = settings.start.cloud_provider
    version = f"Kubernetes {context.minor}"
    if not providers:
        raise Failure(
            f"{settings.source(_EXTERNAL)}: {version} has no cloud provider in its tree"
            " (1.31 removed the last ones)",
            f"set {_BINARY_VARIABLE} to the cloud-controller-manager of a cloud provider",
        )
    hint = (
        f"set CLOUD_PROVIDER to one of {', '.join(providers)}; or set {_BINARY_VARIABLE} to a"
        " program that has another provider"
    )
    if not provider:
        raise Failure(
            f"{settings.source(_EXTERNAL)}: an external cloud provider needs CLOUD_PROVIDER", hint
        )
    if provider not in providers:
        source = settings.source(_PROVIDER)
        raise Failure(
            f"{source}: {provider!r} is not a cloud provider in the tree of {version}", hint
        )


def _require_in_tree(context: Context) -> None:
    """Raise Failure for a provider that the other components do not know: they would exit."""
    provider, providers = context.settings.start.cloud_provider, context.facts.cloud_providers
    if provider in providers:
        return
    matches = difflib.get_close_matches(provider, providers, n=1)
    raise Failure(
        f"{context.settings.source(_PROVIDER)}: {provider!r} is not a cloud provider in the tree of"
        f" Kubernetes {context.minor} (it has {', '.join(providers) or 'none'})",
        f"did you mean {matches[0]}?"
        if matches
        else "set EXTERNAL_CLOUD_PROVIDER=true to run a separate cloud-controller-manager, or unset"
        " CLOUD_PROVIDER",
    )


def _port(context: Context) -> int:
    settings = context.settings.cloud_controller_manager
    return serving.port(NAME, context, settings.secure_port, settings.port)


_SAMPLE_HINT = (
    f"set {_BINARY_VARIABLE} to another program, or correct cmd/cloud-controller-manager/main.go:"
    " in 1.20 it is a sample that does not run, because it reads its flags too late"
)


SPEC = Spec(
    name=NAME,
    program=Program("module", NAME),
    build=build,
    flags=desired_flags,
    user_flags=USER_FLAGS,
    after=AFTER,
    host_queries=("connections",),
    optional=runs,
    user_program=user_binary,
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
