"""Flags and environment variables that several components share."""

from __future__ import annotations

from tasks.components.base import Context
from tasks.components.command_line import Value, text
from tasks.settings import ip_families
from tasks.settings.load import Settings
from tasks.settings.paths import absolute

_TRUE = ("true", "t", "1")
NO_HTTP2_PING_ENV = {"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "0"}
"""Lets client-go wait for a paused server; with its HTTP/2 ping it gives up after 45 s."""


def logging_flags(settings: Settings) -> dict[str, Value]:
    """Return the flags that set how much is logged."""
    return {"v": settings.logs.level, "vmodule": settings.logs.spec}


def feature_gates(context: Context) -> dict[str, bool]:
    """Return the feature gates of all components."""
    settings = context.settings
    items = [item.strip().partition("=") for item in settings.start.feature_gates.split(",")]
    gates = {name.strip(): value.strip().lower() in _TRUE for name, _, value in items if name}
    if settings.api.pod_priority_preemption and context.facts.pod_priority_alpha:
        gates["PodPriority"] = True
    if context.facts.dual_stack == "alpha" and ip_families.is_dual_stack(settings):
        gates.setdefault(ip_families.GATE, True)
    return gates


def feature_gates_flag(context: Context) -> dict[str, Value]:
    """Return the flag of the feature gates."""
    gates = feature_gates(context)
    return {"feature-gates": ",".join(f"{name}={text(on)}" for name, on in gates.items())}


def cloud_flags(settings: Settings) -> dict[str, Value]:
    """Return the cloud provider's flags; an empty value means none, like upstream."""
    if settings.start.external_cloud_provider:
        return {"cloud-provider": "external"}
    return {
        "cloud-provider": settings.start.cloud_provider,
        "cloud-config": absolute(settings.start.cloud_config),
    }


def leader_election_flags(settings: Settings) -> dict[str, Value]:
    """Return the leader election flag: the user's value; `auto` disables it for long pauses."""
    value = settings.start.leader_elect
    if value != "auto":
        return {"leader-elect": value == "true"}
    return {"leader-elect": False} if settings.debug.pause_tolerant else {}


def emulated_version_flags(settings: Settings) -> dict[str, Value]:
    """Return the flag of the emulated minor, for example kube=1.34."""
    minor = emulated_minor(settings)
    return {"emulated-version": f"kube={minor}"} if minor else {}


def emulated_minor(settings: Settings) -> str:
    """Return the emulated minor, for example 1.34; the setting may also be kube=v1.34."""
    return settings.start.emulated_version.removeprefix("kube=").removeprefix("v")


def debug_env(settings: Settings) -> dict[str, str]:
    """Return the variables that make errors panic and let clients wait for a paused server."""
    return {
        "KUBE_CACHE_MUTATION_DETECTOR": text(settings.start.cache_mutation_detector),
        "KUBE_PANIC_WATCH_DECODE_ERROR": text(settings.start.panic_watch_decode_error),
        **(NO_HTTP2_PING_ENV if settings.debug.pause_tolerant else {}),
    }
