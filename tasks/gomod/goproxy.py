"""Client of Go module proxies: the first answer is used; hashes are verified in other modules."""

from __future__ import annotations

import re

from tasks.core.errors import Failure
from tasks.gomod.release import Release, dotted, release
from tasks.settings.load import Settings
from tasks.system import download


def addresses(settings: Settings) -> list[str]:
    """Return the addresses in mirror.goproxy, without the words `direct` and `off`."""
    entries = [entry.strip() for entry in re.split(r"[,|]", settings.mirror.goproxy)]
    return [entry.rstrip("/") for entry in entries if entry not in ("", "direct", "off")]


def require_addresses(settings: Settings) -> list[str]:
    """Return the addresses in mirror.goproxy. Raises Failure if there is none."""
    found = addresses(settings)
    if not found:
        raise Failure(
            f"mirror.goproxy: {settings.mirror.goproxy!r} has no address of a Go module proxy",
            "add one, for example https://proxy.golang.org",
        )
    return found


def read(settings: Settings, path: str) -> str:
    """Return `path` from the first proxy that has it. Raises Failure with all errors."""
    mirror = settings.mirror
    failures: list[Failure] = []
    for address in require_addresses(settings):
        try:
            body = download.read(
                f"{address}/{path}", timeout=mirror.timeout, ca_bundle=mirror.ca_bundle
            )
        except Failure as failure:
            failures.append(failure)
            continue
        return body.decode(errors="replace")
    hint = "check the network, or set mirror.goproxy to another proxy"
    raise download.combined(failures, hint)


def releases(settings: Settings, module: str) -> list[Release]:
    """Return the releases of a Go module, newest first; a proxy may not list all of them."""
    listed = read(settings, f"{module}/@v/list").split()
    return sorted({number for text in listed if (number := release(text))}, reverse=True)


def needed_go(settings: Settings, module: str, version: Release) -> Release:
    """Return the oldest Go that builds a release of a Go module, from its go.mod.

    Raises Failure if no proxy has the release.
    """
    text = read(settings, f"{module}/@v/v{dotted(version)}.mod")
    match = re.search(r"^go (\S+)", text, re.MULTILINE)
    return (release(match[1]) if match else None) or (1, 0, 0)
