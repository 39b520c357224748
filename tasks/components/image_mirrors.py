"""Image mirrors: the hosts.toml files that containerd reads since 1.5.

See docs/hosts.md of containerd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.settings.templates import scalar

ANY_REGISTRY = "_default"
"""containerd's name for all registries that have no separate folder."""
_ADDRESS = re.compile(r"(https?://)?([\w.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)((?:/[\w.-]+)*)/?")
_REGISTRY = re.compile(r"[\w.-]+(:\d+)?")


def mirrors(settings: Settings) -> dict[str, str]:
    """Return the address of the mirror's API by registry.

    Raises Failure with the entry that is invalid.
    """
    found: dict[str, str] = {}
    for entry in settings.mirror.images:
        registry, equals, address = entry.rpartition("=")
        match = _ADDRESS.fullmatch(address)
        if match is None or (equals and not _REGISTRY.fullmatch(registry)):
            source = settings.source("mirror.images")
            raise Failure(
                f"{source}: {entry!r} is not a mirror, and not registry=mirror",
                "use for example mirror.example.org/k8s, or registry.k8s.io=mirror.example.org/k8s",
            )
        scheme, host, path = match[1] or "https://", match[2], match[3]
        found[registry or ANY_REGISTRY] = f"{scheme}{host}/v2{path.removeprefix('/v2')}"
    return found


def hosts(settings: Settings) -> Mapping[str, str]:
    """Return the hosts.toml of every registry that has a mirror, by the name of its folder.

    containerd asks only the mirror, never the registry, even if the mirror does not have an image.
    """
    return {
        name: _hosts_toml(api, settings.mirror.ca_bundle) for name, api in mirrors(settings).items()
    }


def _hosts_toml(api: str, ca_bundle: str) -> str:
    lines = ['capabilities = ["pull", "resolve"]', "override_path = true"]
    if ca_bundle and api.startswith("https"):
        lines.append(f"ca = {scalar(ca_bundle)}")
    # containerd 1.6 rejects a file without a host; server is the last address that it tries
    all_lines = [f"server = {scalar(api)}", *lines, f"[host.{scalar(api)}]", *lines]
    return "\n".join(all_lines) + "\n"
