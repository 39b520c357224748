"""Check the URLs of the mirrors and save them: later tasks depend on that file.

`doit mirror` (tasks/host/) writes the mirrors into the host's package manager files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tasks.cli.task import action, config_changed
from tasks.components import image_mirrors
from tasks.core.redact import masked
from tasks.gomod import goproxy
from tasks.settings.load import Settings
from tasks.system import files, network


@action
def make(settings: Settings) -> None:
    """Check the mirrors and save them in mirror.json.

    Raises Failure naming the setting whose value is not a URL.
    """
    mirror = settings.mirror
    urls = {
        "mirror.goproxy": goproxy.addresses(settings),
        "mirror.go": mirror.go,
        "mirror.cni": mirror.cni,
        "mirror.apt": filter(None, [mirror.apt]),
    }
    for key, values in urls.items():
        for url in values:
            network.require_url(url, settings.source(key))
    image_mirrors.mirrors(settings)
    network.ssl_context(mirror.ca_bundle)
    files.write_json(settings.paths.mirror, masked(asdict(mirror)))


def task_downloads(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the task that checks and saves the mirrors."""
    yield {
        "basename": "downloads",
        "doc": "check the mirrors for downloads",
        "actions": [(make, [settings])],
        "targets": [str(settings.paths.mirror)],
        "uptodate": [config_changed(masked(asdict(settings.mirror)))],
        "clean": True,
        "meta": {"quiet": True},
    }
