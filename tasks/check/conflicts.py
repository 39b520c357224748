"""Settings that cannot be had together, or that name what is not there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tasks.certs import credentials
from tasks.check import container_runtime, formats
from tasks.components import admission
from tasks.core.errors import Failure
from tasks.kubernetes.facts import Minor
from tasks.settings import groups
from tasks.settings.load import Settings
from tasks.settings.paths import absolute

FILES = (
    "api.admission_control_config_file",
    "api.authorization_config",
    "api.audit_policy_file",
    "api.authorization_webhook_config_file",
    "api.authentication_webhook_config_file",
    "api.egress_selector_config_file",
    "controller_manager.cluster_signing_cert_file",
    "controller_manager.cluster_signing_key_file",
    "kubelet.client_ca_file",
    "kubelet.resolv_conf",
    "start.cloud_config",
)
"""Settings that name a file which has to be there."""
_RESERVED = re.compile(r"--(kube|system)-reserved=\S*cpu=|--reserved-cpus=")


def conflicts(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for everything that cannot work, whatever else is right."""
    yield from _files(settings)
    yield from _authorization(settings, minor)
    yield from _admission(settings)
    yield from _signer(settings)
    yield from formats.format_problems(settings, minor)
    yield from _kubelet(settings, minor)
    yield from _refused(settings)
    yield from container_runtime.runtime_conflicts(settings, minor)
    yield from credentials.credential_conflicts(settings)


def _files(settings: Settings) -> Iterator[Failure]:
    for key in FILES:
        named = absolute(settings.value(key))
        if named and not Path(named).is_file():
            yield Failure(
                f"{settings.source(key)}: {named} is not there", "name a file that can be read"
            )
    output = settings.build.output
    if output and output != groups.GUESS and not Path(absolute(output)).is_dir():
        yield Failure(
            f"{settings.source('build.output')}: there is no folder {absolute(output)}",
            "name the folder of binaries made elsewhere, or unset it to have them built",
        )
    client = settings.start.kubectl
    if client and shutil.which(str(Path(client).expanduser())) is None:
        yield Failure(
            f"{settings.source('start.kubectl')}: {client} is no program",
            "correct it, or unset it to have kubectl built",
        )
    with suppress(OSError):
        if settings.paths.config.stat().st_uid not in (os.geteuid(), 0):
            yield Failure(
                f"{settings.source('start.config_dir')}: {settings.paths.config} belongs to"
                " somebody else",
                "name another folder in start.config_dir",
            )


def _authorization(settings: Settings, minor: Minor) -> Iterator[Failure]:
    api, config = settings.api, "api.authorization_config"
    if api.authorization_config:
        for other in ("api.authorization_mode", "api.authorization_webhook_config_file"):
            if settings.is_set(other):
                yield Failure(
                    f"{settings.source(config)} and {settings.source(other)}: kube-apiserver takes"
                    " its authorizers from one of them",
                    f"leave one of {config} and {other} out",
                )
        if minor == (1, 29) and "StructuredAuthorizationConfiguration=true" not in (
            settings.start.feature_gates
        ):
            yield Failure(
                f"{settings.source(config)}: in 1.29 that needs a feature gate",
                "FEATURE_GATES=StructuredAuthorizationConfiguration=true",
            )
        return
    webhook = "Webhook" in api.authorization_mode.split(",")
    if webhook != bool(api.authorization_webhook_config_file):
        yield Failure(
            f"{settings.source('api.authorization_mode')} and"
            f" {settings.source('api.authorization_webhook_config_file')}: the mode Webhook and the"
            " file that says whom to ask need each other",
            f"set both, for example AUTHORIZATION_MODE={api.authorization_mode},Webhook"
            if not webhook
            else "set AUTHORIZATION_WEBHOOK_CONFIG_FILE",
        )


def _admission(settings: Settings) -> Iterator[Failure]:
    api, disabled = settings.api, "api.disable_admission_plugins"
    for key, plugin in admission.requested_plugins(api):
        if plugin in admission.listed_plugins(api.disable_admission_plugins):
            yield Failure(
                f"{settings.source(key)} and {settings.source(disabled)}: the admission plugin"
                f" {plugin} is both enabled and disabled",
                "leave it in one of them",
            )


def _signer(settings: Settings) -> Iterator[Failure]:
    crt, key = "cluster_signing_cert_file", "cluster_signing_key_file"
    for one, other in ((crt, key), (key, crt)):
        named, missing = f"controller_manager.{one}", f"controller_manager.{other}"
        if settings.is_set(named) and not settings.is_set(missing):
            yield Failure(
                f"{settings.source(named)}: a certificate and its key go together, and {missing} is"
                " not set",
                f"set {other.upper()} too",
            )


def _kubelet(settings: Settings, minor: Minor) -> Iterator[Failure]:
    kubelet = settings.kubelet
    if kubelet.cgroup_root and not kubelet.cgroups_per_qos:
        yield Failure(
            f"{settings.source('kubelet.cgroup_root')} and"
            f" {settings.source('kubelet.cgroups_per_qos')}: without a cgroup per QoS class there"
            " is nothing below a root",
            "leave one of them out",
        )
    static = kubelet.cpumanager_policy == "static"
    if kubelet.cpumanager_policy_options and not static:
        yield Failure(
            f"{settings.source('kubelet.cpumanager_policy_options')}: only the policy static has"
            " options",
            "set CPUMANAGER_POLICY=static",
        )
    if static and not _RESERVED.search(kubelet.flags):
        yield Failure(
            f"{settings.source('kubelet.cpumanager_policy')}: the policy static needs CPU that is"
            " reserved for the system",
            "for example KUBELET_FLAGS=--kube-reserved=cpu=500m",
        )
    if kubelet.limited_swap and kubelet.fail_swap_on:
        yield Failure(
            f"{settings.source('kubelet.limited_swap')} and"
            f" {settings.source('kubelet.fail_swap_on')}: pods cannot swap on a node that refuses"
            " to start with swap",
            "leave one of them out",
        )
    if (
        kubelet.limited_swap
        and minor < (1, 30)
        and ("NodeSwap=true" not in settings.start.feature_gates)
    ):
        yield Failure(
            f"{settings.source('kubelet.limited_swap')}: before 1.30 that needs a feature gate",
            "FEATURE_GATES=NodeSwap=true",
        )


def _refused(settings: Settings) -> Iterator[Failure]:
    """Refuse what upstream's script does and what makes no sense here."""
    reasons: Mapping[str, tuple[str, str]] = {
        "start.kubetest_in_docker": (
            "it makes upstream's script install etcd, CNI plugins and packages in a test"
            " container, and share its mounts; the tool has its own etcd and plugins, and the"
            " node's sandbox has its own mounts",
            "unset it: nothing has to be prepared",
        ),
    }
    for key, (why, fix) in reasons.items():
        if settings.is_set(key):
            yield Failure(f"{settings.source(key)}: {why}", fix)
