"""What the Go module proxies offer: the first one that answers is believed, hashes come later."""

from __future__ import annotations

import re

from tasks.core.errors import Failure
from tasks.gomod.release import Release, dotted, release
from tasks.settings.load import Settings
from tasks.system import download


def addresses(settings: Settings) -> list[str]:
    """Return the addresses in mirror.goproxy; `direct` and `off` are none."""
    words = [word.strip() for word in re.split(r"[,|]", settings.mirror.goproxy)]
    return [word.rstrip("/") for word in words if word not in ("", "direct", "off")]


def require_addresses(settings: Settings) -> list[str]:
    """Return the addresses in mirror.goproxy, at least one of them."""
    found = addresses(settings)
    if not found:
        raise Failure(
            f"mirror.goproxy ({settings.mirror.goproxy}) names no Go module proxy",
            "add one, for example https://proxy.golang.org",
        )
    return found


def read(settings: Settings, path: str) -> str:
    """Return what the first proxy that has `path` answers; a Failure says what each answered."""
    mirror = settings.mirror
    said: list[str] = []
    for address in require_addresses(settings):
        try:
            body = download.read(
                f"{address}/{path}", timeout=mirror.timeout, ca_bundle=mirror.ca_bundle
            )
        except Failure as failure:
            said.append(failure.message)
            continue
        return body.decode(errors="replace")
    raise Failure("\n".join(said), "check the network, or name another proxy in mirror.goproxy")


def releases(settings: Settings, module: str) -> list[Release]:
    """Return the releases of a module, newest first; a proxy's list need not have all of them."""
    listed = read(settings, f"{module}/@v/list").split()
    return sorted({found for word in listed if (found := release(word))}, reverse=True)


def needed_go(settings: Settings, module: str, version: Release) -> Release:
    """Return the oldest Go that builds a release of a module; a Failure when no proxy has it."""
    text = read(settings, f"{module}/@v/v{dotted(version)}.mod")
    match = re.search(r"^go (\S+)", text, re.MULTILINE)
    return (release(match[1]) if match else None) or (1, 0, 0)
