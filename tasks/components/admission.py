"""Admission plugins of kube-apiserver: upstream's list, changed by the settings."""

from __future__ import annotations

from tasks.components.base import Context
from tasks.components.command_line import Value
from tasks.core.errors import Failure
from tasks.settings.groups import Api
from tasks.settings.paths import absolute

_SWITCHES = {
    "deny_security_context_admission": "SecurityContextDeny",
    "psp_admission": "PodSecurityPolicy",
    "node_admission": "NodeRestriction",
    "pod_priority_preemption": "Priority",
}
_GROUPS = {
    "Initializers": "admissionregistration.k8s.io/v1alpha1",
    "PodPreset": "settings.k8s.io/v1alpha1",
}


def plugins(context: Context) -> tuple[str, ...]:
    """Return the enabled plugins: upstream's list of the minor plus those of the settings.

    In upstream's script, each switch overwrites the one before it. Up to 1.12, the script also
    overwrites ENABLE_ADMISSION_PLUGINS. Raises Failure for a plugin that the minor does not have.
    """
    api = context.settings.api
    added = (plugin for _, plugin in requested_plugins(api))
    disabled = listed_plugins(api.disable_admission_plugins)
    _require_plugins(context)
    enabled = dict.fromkeys((*context.facts.admission, *added))
    return tuple(plugin for plugin in enabled if plugin not in disabled)


def flags(context: Context) -> dict[str, Value]:
    """Return the admission flags; kube-apiserver refuses a plugin that is in both lists."""
    api = context.settings.api
    return {
        "enable-admission-plugins": ",".join(plugins(context)),
        "disable-admission-plugins": ",".join(listed_plugins(api.disable_admission_plugins)),
        "admission-control-config-file": absolute(api.admission_control_config_file),
    }


def groups(context: Context) -> list[str]:
    """Return the API groups that the plugins watch and that are off by default."""
    return [_GROUPS[plugin] for plugin in plugins(context) if plugin in _GROUPS]


def requested_plugins(api: Api) -> list[tuple[str, str]]:
    """Return the plugins that the user adds to the default ones, each with its settings key."""
    switched = [
        (f"api.{switch}", plugin) for switch, plugin in _SWITCHES.items() if getattr(api, switch)
    ]
    key = "api.enable_admission_plugins"
    return [*switched, *((key, plugin) for plugin in listed_plugins(api.enable_admission_plugins))]


def listed_plugins(text: str) -> tuple[str, ...]:
    """Return the plugin names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _require_plugins(context: Context) -> None:
    """Raise Failure for a plugin that the minor no longer has: kube-apiserver would exit."""
    api, removed = context.settings.api, context.facts.admission_removed
    disabled = [
        ("api.disable_admission_plugins", plugin)
        for plugin in listed_plugins(api.disable_admission_plugins)
    ]
    for key, plugin in (*requested_plugins(api), *disabled):
        if plugin in removed:
            source = context.settings.source(key)
            raise Failure(
                f"{source}: Kubernetes {removed[plugin]} removed the admission plugin {plugin}",
                "remove it from the setting, or use an older version",
            )
