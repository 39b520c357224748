"""Stage 1: where downloads come from, checked and written down for the later stages.

The host is another matter: `doit mirror` (tasks/host/) puts the same mirrors into its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from doit.tools import config_changed

from tasks import report
from tasks.components import registries
from tasks.failure import Failure
from tasks.settings import Settings, current
from tasks.system import files, network
from tasks.system.mask import masked

_URL = re.compile(r"(https?|file)://[^\s]+")


@report.action
def make(settings: Settings) -> None:
    """Check the mirrors' addresses and write them down.

    Raises Failure naming the setting whose value is no address.
    """
    mirror = settings.mirror
    for proxy in re.split(r"[,|]", mirror.goproxy):
        if proxy not in ("direct", "off"):
            _require_url("mirror.goproxy", proxy, settings)
    for url in mirror.go:
        _require_url("mirror.go", url, settings)
    registries.mirrors(settings)
    if mirror.apt:
        _require_url("mirror.apt", mirror.apt, settings)
    network.require_authorities(mirror.ca_bundle)
    files.write_json(settings.paths.mirror, masked(asdict(mirror)))


def _require_url(key: str, value: str, settings: Settings) -> None:
    if not _URL.fullmatch(value):
        raise Failure(
            f"{settings.sources.get(key, key)}: {value!r} is not an address",
            "write it like https://mirror.example.org/path",
        )


def task_downloads() -> Iterator[dict[str, Any]]:
    """Check and write down where downloads come from."""
    settings = current()
    yield {
        "basename": "downloads",
        "doc": "check and write down where downloads come from",
        "actions": [(make, [settings])],
        "targets": [str(settings.paths.mirror)],
        "uptodate": [config_changed(masked(asdict(settings.mirror)))],
        "clean": True,
        "meta": {"quiet": True},
    }
