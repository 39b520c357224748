"""Flags and variables that several components share."""

from __future__ import annotations

from tasks.components.base import Context
from tasks.components.command_line import Value, text
from tasks.settings.load import Settings
from tasks.settings.paths import absolute

_TRUE = ("true", "t", "1")
NO_HTTP2_PING_ENV = {"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "0"}
"""Keeps a client of client-go from giving up, after 45 s, a server that stands at a breakpoint."""


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


def debug_env(settings: Settings) -> dict[str, str]:
    """Return the variables that turn programming errors into panics, and make clients patient."""
    return {
        "KUBE_CACHE_MUTATION_DETECTOR": text(settings.start.cache_mutation_detector),
        "KUBE_PANIC_WATCH_DECODE_ERROR": text(settings.start.panic_watch_decode_error),
        **(NO_HTTP2_PING_ENV if settings.debug.pause_tolerant else {}),
    }
