"""Checks of value formats that otherwise only the component would reject or silently ignore."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from tasks.addons import template_values
from tasks.check import ip_ranges
from tasks.components import kubelet_config, shared_flags, user_flags
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.settings import addresses
from tasks.settings.load import Settings

_DURATION = re.compile(r"(\d+(\.\d+)?(ns|us|ms|s|m|h))+|0")
_DURATIONS = (
    "kubelet.runtime_request_timeout",
    "kubelet.cpumanager_reconcile_period",
    "kubelet.eviction_pressure_transition_period",
    "controller_manager.claim_binder_sync_period",
)
_GRACE = "kubelet.eviction_soft_grace_period"
_PORTS = re.compile(r"([0-9]{1,9})(?:([-+])([0-9]{1,9}))?")
_THRESHOLD = re.compile(r"\s*([a-zA-Z.]+)\s*<\s*\d+(\.\d+)?([KMGTPE]i|[kMGTPE]|%)?\s*")
_GATE = re.compile(r"\s*\w+\s*=\s*(true|false|t|f|1|0)\s*", re.IGNORECASE)
_RANGES = {
    "api.wait": (1, 86400),
    "api.probe_timeout": (1, 86400),
    "build.jobs": (0, 1024),
    "build.keep": (0, 1 << 20),
    "kubelet.chaos_chance": (0, 1),
    "logs.level": (0, 99),
    "origin.timeout": (0.1, 86400),
    "mirror.timeout": (0.1, 86400),
}
"""Lowest and highest allowed number."""
_NO_REFERENCE = re.compile(r"^[-/]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|[./]$|\.lock$")
_ENDPOINT = re.compile(r"(unix://)?/\S+")
_AUTHORIZERS = ("Node", "RBAC", "ABAC", "Webhook", "AlwaysAllow", "AlwaysDeny")


def format_problems(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for every value with a wrong format."""
    yield from _version(settings)
    yield from _addresses(settings)
    yield from _endpoints(settings)
    yield from ip_ranges.problems(settings, minor)
    yield from _lists(settings)
    yield from _numbers(settings)
    yield from _dns(settings)
    yield from _versioned(settings, minor)


def _version(settings: Settings) -> Iterator[Failure]:
    """Check the name of a version, branch or commit, see git-check-ref-format(1)."""
    name = settings.version.strip()
    if _NO_REFERENCE.search(name):
        yield Failure(
            f"{settings.source('version')}: {name!r} is not a version, branch or commit",
            "use for example v1.30.0, main or a commit",
        )


def _addresses(settings: Settings) -> Iterator[Failure]:
    for key in ("api.bind_address", "api.advertise_address", "kubelet.host", "etcd.host"):
        name = settings.value(key)
        local = key == "etcd.host" and name == "localhost"  # etcd accepts no other name
        if name and not local and not addresses.is_address(name):
            yield Failure(
                f"{settings.source(key)}: {name!r} is not an IP address",
                "use for example 127.0.0.1",
            )


def _endpoints(settings: Settings) -> Iterator[Failure]:
    for key in ("node.container_runtime_endpoint", "node.image_service_endpoint"):
        if settings.value(key) and not _ENDPOINT.fullmatch(settings.value(key)):
            yield Failure(
                f"{settings.source(key)}: {settings.value(key)!r} is not a socket",
                "use for example unix:///run/containerd/containerd.sock",
            )


def _lists(settings: Settings) -> Iterator[Failure]:
    """Check items of lists, more flags, and authorizers."""
    patterns = {
        "kubelet.eviction_hard": (_THRESHOLD, "threshold", "memory.available<100Mi"),
        "kubelet.eviction_soft": (_THRESHOLD, "threshold", "memory.available<300Mi"),
        "start.feature_gates": (_GATE, "feature gate", "AllAlpha=false"),
    }
    for key, (pattern, expected, example) in patterns.items():
        names: set[str] = set()
        for item in filter(None, settings.value(key).split(",")):
            name = re.split("[=<]", item)[0].strip()
            if name in names:
                yield Failure(f"{settings.source(key)}: {name} is set twice", "remove one of them")
            names.add(name)
            if not pattern.fullmatch(item):
                yield Failure(
                    f"{settings.source(key)}: {item!r} is not a {expected}",
                    f"use for example {example}",
                )
    for key in filter(None, (spec.user_flags for spec in COMPONENTS.values())):
        yield from user_flags.problems(settings, key)
    for word in filter(None, settings.api.authorization_mode.split(",")):
        if word not in _AUTHORIZERS:
            near = difflib.get_close_matches(word, _AUTHORIZERS, n=1)
            yield Failure(
                f"{settings.source('api.authorization_mode')}: {word!r} is not an authorizer",
                f"did you mean {near[0]}?" if near else f"use {', '.join(_AUTHORIZERS)}",
            )


def _numbers(settings: Settings) -> Iterator[Failure]:
    """Check numbers, port ranges and durations."""
    for key, (lowest, highest) in _RANGES.items():
        if not lowest <= settings.value(key) <= highest:
            yield Failure(
                f"{settings.source(key)}: {settings.value(key)} is out of range",
                f"use {lowest} to {highest}",
            )
    ports = settings.api.node_port_range
    match = _PORTS.fullmatch(ports)
    low, high = _bounds(match) if match else (0, 0)
    if ports and not 0 < low <= high < 65536:
        yield Failure(
            f"{settings.source('api.node_port_range')}: {ports!r} is not a port range",
            "use for example 30000-32767",
        )
    durations = [(key, settings.value(key)) for key in _DURATIONS]
    periods = kubelet_config.grace_periods(settings)
    for key, text in (*durations, *((_GRACE, period) for period in periods.values())):
        if text and not _DURATION.fullmatch(text):
            yield Failure(
                f"{settings.source(key)}: {text!r} is not a duration", "use for example 90s"
            )
    signals = {item.partition("<")[0].strip() for item in settings.kubelet.eviction_soft.split(",")}
    for signal in signals.symmetric_difference(periods) - {""}:
        yield Failure(
            f"{settings.source(_GRACE)}: {signal} has"
            f" {'a grace period but no' if signal in periods else 'no grace period for its'} soft"
            " threshold (kubelet.eviction_soft)",
            f"set {_GRACE} to a period for all signals, such as 90s, or to one for each",
        )


def _bounds(match: re.Match[str]) -> tuple[int, int]:
    """Return the first and last port of `FIRST-LAST`, `FIRST+COUNT` or `PORT`."""
    low = int(match[1])
    return low, {"-": int(match[3] or 0), "+": low + int(match[3] or 0)}.get(match[2], low)


def _dns(settings: Settings) -> Iterator[Failure]:
    """Check the values that are filled into the manifests of the DNS addons."""
    server = (template_values.dns_domain, template_values.dns_memory_limit)
    cache = (template_values.node_local_dns,)
    checks = (*(server if settings.dns.enabled else ()), *(cache if settings.dns.nodelocal else ()))
    for check in checks:
        try:
            check(settings)
        except Failure as failure:
            yield failure


def _versioned(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Check values whose format depends on the Kubernetes version."""
    backend = settings.api.storage_backend
    if backend != "etcd3" and (backend != "etcd2" or minor > (1, 12)):
        yield Failure(
            f"{settings.source('api.storage_backend')}: Kubernetes {minor} has no storage backend"
            f" {backend!r}; 1.10 to 1.12 have etcd2 and etcd3, newer versions only etcd3",
            "unset it",
        )
    for origin in settings.api.cors_allowed_origins.split(",") if minor >= (1, 27) else ():
        if not (re.search(r"\^|//", origin) and re.search(r"[$:]", origin)):
            yield Failure(
                f"{settings.source('api.cors_allowed_origins')}: kube-apiserver 1.27 and newer"
                f" refuses {origin!r}, because it also matches parts of other origins",
                "begin it with // or ^ and end it with $, for example //localhost(:[0-9]+)?$",
            )
    emulated = shared_flags.emulated_minor(settings)
    if emulated:
        if not re.fullmatch(r"\d+\.\d+", emulated):
            yield Failure(
                f"{settings.source('start.emulated_version')}: {emulated!r} is not a minor",
                f"set for example EMULATED_VERSION={minor.major}.{minor.number - 1}",
            )
        elif facts.parse(emulated) > minor:
            yield Failure(
                f"{settings.source('start.emulated_version')}: Kubernetes {minor} cannot emulate"
                f" {emulated}, which is newer",
                "use an older minor",
            )
