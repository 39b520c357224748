"""Image mirrors, as containerd 1.5 and later reads them: a folder of hosts.toml files.

See docs/hosts.md of containerd.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from tasks.core.errors import Failure
from tasks.settings.load import Settings

ANY = "_default"
"""containerd's name for every registry that has no folder of its own."""
_PLACE = re.compile(r"(https?://)?([\w.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)((?:/[\w.-]+)*)/?")
_REGISTRY = re.compile(r"[\w.-]+(:\d+)?")


def mirrors(settings: Settings) -> dict[str, str]:
    """Return the address of the API of the mirror that stands in for each registry.

    Raises Failure naming the entry that is none.
    """
    found: dict[str, str] = {}
    for entry in settings.mirror.images:
        registry, equals, place = entry.rpartition("=")
        match = _PLACE.fullmatch(place)
        if match is None or (equals and not _REGISTRY.fullmatch(registry)):
            source = settings.source("mirror.images")
            raise Failure(
                f"{source}: {entry!r} is neither a mirror nor registry=mirror",
                "write mirror.example.org/k8s, or registry.k8s.io=mirror.example.org/k8s",
            )
        scheme, host, path = match[1] or "https://", match[2], match[3]
        found[registry or ANY] = f"{scheme}{host}/v2{path.removeprefix('/v2')}"
    return found


def hosts(settings: Settings) -> Mapping[str, str]:
    """Return the hosts.toml of every registry that has a mirror, by the name of its folder.

    The mirror is the only place that is asked: what it lacks is not looked for elsewhere.
    """
    return {name: _hosts(api, settings.mirror.ca_bundle) for name, api in mirrors(settings).items()}


def _hosts(api: str, ca_bundle: str) -> str:
    lines = ['capabilities = ["pull", "resolve"]', "override_path = true"]
    if ca_bundle and api.startswith("https"):
        lines.append(f"ca = {json.dumps(ca_bundle)}")
    # containerd 1.6 takes no file without a host; the server is what it would ask in the end
    whole = [f"server = {json.dumps(api)}", *lines, f"[host.{json.dumps(api)}]", *lines]
    return "\n".join(whole) + "\n"
