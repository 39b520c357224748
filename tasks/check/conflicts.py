"""Checks for settings that conflict with each other or name a missing file."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tasks.certs import credentials
from tasks.check import container_runtime, folders, formats
from tasks.components import admission, shared_flags
from tasks.components.base import Context
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.settings import groups
from tasks.settings.load import Settings
from tasks.settings.paths import absolute, expanded

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
"""Settings whose value is the path of an existing file."""
_RESERVED = re.compile(r"--(kube|system)-reserved=\S*cpu=|--reserved-cpus=")


def conflicts(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for every setting that is invalid or conflicts with another one."""
    yield from folders.folder_problems(settings, minor)
    yield from _files(settings)
    yield from _authorization(settings, minor)
    yield from _admission(settings)
    yield from _signer(settings)
    yield from formats.format_problems(settings, minor)
    yield from _kubelet(settings, minor)
    yield from _cgo(settings, minor)
    yield from _refused(settings)
    yield from container_runtime.runtime_conflicts(settings, minor)
    yield from credentials.credential_conflicts(settings)


def _files(settings: Settings) -> Iterator[Failure]:
    for key in FILES:
        path = absolute(settings.value(key))
        if path and not Path(path).is_file():
            yield Failure(
                f"{settings.source(key)}: {path} is not an existing file",
                f"set {key} to a readable file",
            )
    output = settings.build.output
    if output and output != groups.GUESS and not Path(absolute(output)).is_dir():
        yield Failure(
            f"{settings.source('build.output')}: {absolute(output)} is not an existing folder",
            "set it to a folder of existing binaries, or unset it: then stepkube builds them",
        )
    kubectl = settings.start.kubectl
    if kubectl and shutil.which(str(expanded(kubectl))) is None:
        yield Failure(
            f"{settings.source('start.kubectl')}: {kubectl} is not an executable program",
            "set it to a kubectl program, or unset it: then stepkube builds kubectl",
        )
    with suppress(OSError):
        if settings.paths.config.stat().st_uid not in (os.geteuid(), 0):
            yield Failure(
                f"{settings.source('start.config_dir')}: another user owns {settings.paths.config}",
                "set start.config_dir to another folder",
            )


def _authorization(settings: Settings, minor: Minor) -> Iterator[Failure]:
    api, config = settings.api, "api.authorization_config"
    if api.authorization_config:
        for other in ("api.authorization_mode", "api.authorization_webhook_config_file"):
            if settings.is_set(other):
                yield Failure(
                    f"{settings.source(config)} and {settings.source(other)}: kube-apiserver"
                    " accepts only one of them",
                    f"unset {config} or {other}",
                )
        if minor == (1, 29) and not _gate(settings, minor, "StructuredAuthorizationConfiguration"):
            yield Failure(
                f"{settings.source(config)}: Kubernetes 1.29 needs a feature gate for it",
                "set FEATURE_GATES=StructuredAuthorizationConfiguration=true",
            )
        return
    webhook = "Webhook" in api.authorization_mode.split(",")
    if webhook != bool(api.authorization_webhook_config_file):
        yield Failure(
            f"{settings.source('api.authorization_mode')} and"
            f" {settings.source('api.authorization_webhook_config_file')}: the mode Webhook and the"
            " kubeconfig of the webhook must both be set",
            f"set AUTHORIZATION_MODE={api.authorization_mode},Webhook"
            if not webhook
            else "set AUTHORIZATION_WEBHOOK_CONFIG_FILE",
        )


def _gate(settings: Settings, minor: Minor, name: str) -> bool:
    """Return whether the user switches a feature gate on."""
    gates = shared_flags.feature_gates(Context(settings, minor, Path(os.devnull)))
    return gates.get(name, False)


def _admission(settings: Settings) -> Iterator[Failure]:
    api, disabled = settings.api, "api.disable_admission_plugins"
    for key, plugin in admission.requested_plugins(api):
        if plugin in admission.listed_plugins(api.disable_admission_plugins):
            yield Failure(
                f"{settings.source(key)} and {settings.source(disabled)}: the admission plugin"
                f" {plugin} is both enabled and disabled",
                "remove it from one of them",
            )


def _signer(settings: Settings) -> Iterator[Failure]:
    crt, key = "cluster_signing_cert_file", "cluster_signing_key_file"
    for one, other in ((crt, key), (key, crt)):
        present, missing = f"controller_manager.{one}", f"controller_manager.{other}"
        if settings.is_set(present) and not settings.is_set(missing):
            yield Failure(
                f"{settings.source(present)}: a certificate needs its key and a key its"
                f" certificate, but {missing} is not set",
                f"set {other.upper()} too",
            )


def _kubelet(settings: Settings, minor: Minor) -> Iterator[Failure]:
    kubelet = settings.kubelet
    if kubelet.cgroup_root and not kubelet.cgroups_per_qos:
        yield Failure(
            f"{settings.source('kubelet.cgroup_root')} and"
            f" {settings.source('kubelet.cgroups_per_qos')}: a cgroup root needs a cgroup per QoS"
            " class",
            "unset CGROUP_ROOT, or set CGROUPS_PER_QOS=true",
        )
    static = kubelet.cpumanager_policy == "static"
    if kubelet.cpumanager_policy_options and not static:
        yield Failure(
            f"{settings.source('kubelet.cpumanager_policy_options')}: only the CPU manager policy"
            " static has options",
            "set CPUMANAGER_POLICY=static",
        )
    if static and not _RESERVED.search(kubelet.flags):
        yield Failure(
            f"{settings.source('kubelet.cpumanager_policy')}: the CPU manager policy static needs"
            " CPU that is reserved for the system",
            "reserve CPU, for example KUBELET_FLAGS=--kube-reserved=cpu=500m",
        )
    if kubelet.limited_swap and kubelet.fail_swap_on:
        yield Failure(
            f"{settings.source('kubelet.limited_swap')} and"
            f" {settings.source('kubelet.fail_swap_on')}: pods cannot use swap if the kubelet"
            " refuses to start with swap",
            "unset one of them",
        )
    if kubelet.limited_swap and minor < (1, 30) and not _gate(settings, minor, "NodeSwap"):
        yield Failure(
            f"{settings.source('kubelet.limited_swap')}: Kubernetes before 1.30 needs a feature"
            " gate for it",
            "set FEATURE_GATES=NodeSwap=true",
        )


def _cgo(settings: Settings, minor: Minor) -> Iterator[Failure]:
    if settings.build.cgo == "never" and facts.minor(minor).needs_c:
        since = facts.first_minor("needs_c", False)
        yield Failure(
            f"{settings.source('build.cgo')}: the kubelet of Kubernetes {minor} needs C code",
            f"unset build.cgo, or use Kubernetes {since} or newer",
        )


def _refused(settings: Settings) -> Iterator[Failure]:
    """Yield a failure for settings of upstream's script that stepkube cannot support."""
    reasons: Mapping[str, tuple[str, str]] = {
        "start.kubetest_in_docker": (
            "with it, upstream's script installs etcd, CNI plugins and packages in a test"
            " container and shares its mounts; stepkube has its own etcd, plugins and mounts",
            "unset it: no preparation is needed",
        ),
    }
    for key, (why, fix) in reasons.items():
        if settings.is_set(key):
            yield Failure(f"{settings.source(key)}: {why}", fix)
