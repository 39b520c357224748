"""Go module zips: download from a proxy, verify with the checksum database, unpack.

A module zip has no file modes, no links, and no files of nested Go modules; see
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
from tasks.system.unpack import refused

IsExecutable = Callable[[str, bytes], bool]
"""Returns, for a file name and the first two bytes of the file, whether to make it executable."""


def fetch(settings: Settings, module: str, version: str) -> tuple[Path, str]:
    """Return the path of a verified zip in the download cache, and the address of its proxy.

    Raises Failure if no proxy has the zip, or if its hash differs from the checksum database.
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
            raise Failure(f"its hash is {found}, the checksum database has {expected}")

    archive = settings.paths.cache / "downloads" / f"{module.rpartition('/')[2]}@{version}.zip"
    url = download.fetch(
        [f"{address}/{module}/@v/{version}.zip" for address in addresses],
        archive,
        verify=verify,
        timeout=mirror.timeout,
        ca_bundle=mirror.ca_bundle,
        key="mirror.goproxy",
    )
    return archive, url.partition(f"/{module}")[0]


def unpack(archive: Path, prefix: str, root: Path, is_executable: IsExecutable) -> None:
    """Unpack the files below `prefix` to `root`.

    Raises Failure if the zip is damaged, or has any other file.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = zipped.infolist()
            size = sum(entry.file_size for entry in entries) / resources.GIB
            resources.require_disk(root, round(size + 0.1, 2), f"unpacking {archive.name}")
            heartbeat = console.Heartbeat()
            for number, entry in enumerate(entries, 1):
                _write(zipped, entry, _name(entry, prefix, archive), root, is_executable)
                heartbeat.beat(f"unpacking {archive.name}: {number} of {len(entries)} files")
    except sumdb.DAMAGED_ZIP as error:
        raise Failure(f"{archive.name} is not a complete zip file: {error}") from error
    except OSError as error:
        raise refused(archive, error) from error


def _name(entry: zipfile.ZipInfo, prefix: str, archive: Path) -> str:
    """Return the name of a file below `prefix`. Raises Failure if it is elsewhere."""
    name = entry.filename.removeprefix(prefix)
    unsafe = {"", ".", "..", ".git"}.intersection(name.split("/"))
    if name == entry.filename or unsafe:
        raise Failure(f"{archive.name} has a file outside {prefix}, or in .git: {entry.filename!r}")
    return name


def _write(
    zipped: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    name: str,
    root: Path,
    is_executable: IsExecutable,
) -> None:
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(entry) as source, target.open("wb") as out:
        first_bytes = source.read(2)
        out.write(first_bytes)
        shutil.copyfileobj(source, out)
    if is_executable(name, first_bytes):
        target.chmod(0o755)
