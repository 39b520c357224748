"""Zips of Go modules: from a module proxy, verified by the checksum database, unpacked.

A module zip has neither file modes nor links, and leaves out other modules below it; see
https://go.dev/ref/mod#zip-files.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod import goproxy, sumdb
from tasks.settings.load import Settings
from tasks.system import download, resources

Program = Callable[[str, bytes], bool]
"""Tells from the name of a file, and how it begins, whether it is to be executable."""


def fetch(settings: Settings, module: str, version: str) -> tuple[Path, str]:
    """Return a verified zip among the downloads, and the proxy it came from.

    Raises Failure when no proxy has it, or it is not what the checksum database says.
    """
    mirror, addresses = settings.mirror, goproxy.require_addresses(settings)
    expected = sumdb.lookup(
        addresses,
        mirror.gosumdb,
        module,
        version,
        settings.paths.cache / "sumdb",
        timeout=mirror.timeout,
        ca_bundle=mirror.ca_bundle,
    )

    def verify(path: Path) -> None:
        found = sumdb.hash_zip(path)
        if expected and found != expected:
            raise Failure(f"its hash is {found}, the checksum database says {expected}")

    archive = settings.paths.cache / "downloads" / f"{module.rpartition('/')[2]}@{version}.zip"
    chosen = download.fetch(
        [f"{address}/{module}/@v/{version}.zip" for address in addresses],
        archive,
        verify=verify,
        timeout=mirror.timeout,
        ca_bundle=mirror.ca_bundle,
        key="mirror.goproxy",
    )
    return archive, chosen.partition(f"/{module}")[0]


def unpack(archive: Path, prefix: str, root: Path, program: Program) -> None:
    """Write what a zip has below a prefix; Failure when it has anything else."""
    with zipfile.ZipFile(archive) as zipped:
        entries = zipped.infolist()
        size = sum(entry.file_size for entry in entries) / resources.GIB
        resources.require_disk(root, round(size + 0.1, 2), f"unpacking {archive.name}")
        heart = console.Heartbeat()
        for number, entry in enumerate(entries, 1):
            name = entry.filename.removeprefix(prefix)
            if name == entry.filename or not name or ".." in name.split("/") or name[0] == "/":
                raise Failure(f"{archive.name} has a file outside {prefix}: {entry.filename}")
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(entry) as source, target.open("wb") as out:
                begin = source.read(2)
                out.write(begin)
                shutil.copyfileobj(source, out)
            if program(name, begin):
                target.chmod(0o755)
            heart.beat(f"unpacking {archive.name}: {number} of {len(entries)} files")
