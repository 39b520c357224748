"""Write a container image as a tar archive in the layout of the OCI image specification.

The same input files always give the same bytes. See image-layout.md and image-index.md of
github.com/opencontainers/image-spec.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.system import files
from tasks.system.resources import architecture

_TYPES = "application/vnd.oci.image"
_FOLDERS = ("dev", "etc", "proc", "sys", "tmp")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """The content of an image, and the command line of its containers."""

    name: str
    """The full reference, for example docker.io/library/web:1."""
    programs: Mapping[str, Path]
    """The programs: their path in the image, and the file to copy."""
    entrypoint: Sequence[str]
    """The start of a container's command line."""
    links: Mapping[str, str] | None = None
    """The symbolic links: their path in the image, and their target."""
    command: Sequence[str] = ()
    """The default arguments after the entrypoint."""
    user: str = ""
    """The user of a container, for example 65535:65535; empty for root."""
    compressed: bool = False
    """Whether the layer is compressed with gzip."""


def write(archive: Path, image: Image) -> None:
    """Write the archive that `ctr images import` and `docker load` read.

    Docker before 25 does not read index.json, but the manifest.json of `docker save`.
    """
    plain = _layer(image)
    layer, kind = (_gzip(plain), "tar+gzip") if image.compressed else (plain, "tar")
    machine = {"architecture": architecture(), "os": "linux"}
    run = {
        "Entrypoint": list(image.entrypoint),
        "Cmd": list(image.command),
        "Env": [_PATH],
        "User": image.user,
        "WorkingDir": "/",
    }
    configuration = _json(
        {
            **machine,
            "config": {key: value for key, value in run.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [_digest(plain)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_TYPES}.manifest.v1+json",
            "config": _descriptor(f"{_TYPES}.config.v1+json", configuration),
            "layers": [_descriptor(f"{_TYPES}.layer.v1.{kind}", layer)],
        }
    )
    names = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name.rpartition(":")[2],
    }
    descriptor = _descriptor(f"{_TYPES}.manifest.v1+json", manifest)
    index = {
        "schemaVersion": 2,
        "manifests": [{**descriptor, "platform": machine, "annotations": names}],
    }
    paths = [f"blobs/sha256/{_digest(blob)[7:]}" for blob in (configuration, layer, manifest)]
    saved = {"Config": paths[0], "RepoTags": [image.name], "Layers": [paths[1]]}
    files.write(
        archive,
        _tar(
            {
                "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
                "index.json": _json(index),
                "manifest.json": _json([saved]),
                **dict(zip(paths, (configuration, layer, manifest), strict=True)),
            }
        ),
    )


def _layer(image: Image) -> bytes:
    """Return the file system of the image as a tar archive."""
    links = image.links or {}
    paths = [PurePosixPath(path.lstrip("/")) for path in (*image.programs, *links)]
    parents = {str(parent) for path in paths for parent in path.parents} - {"."}
    entries = [(folder, tarfile.DIRTYPE, 0o755, b"", "") for folder in {*parents, *_FOLDERS}]
    entries += [
        (path.lstrip("/"), tarfile.REGTYPE, 0o755, source.read_bytes(), "")
        for path, source in image.programs.items()
    ]
    entries += [
        (path.lstrip("/"), tarfile.SYMTYPE, 0o777, b"", target) for path, target in links.items()
    ]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as layer:
        for name, kind, mode, data, target in sorted(entries):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), target
            if name == "tmp":
                entry.mode = 0o1777
            layer.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _tar(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o644, len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _gzip(data: bytes) -> bytes:
    out = io.BytesIO()
    with GzipFile(filename="", fileobj=out, mode="wb", mtime=0) as compressed:
        compressed.write(data)
    return out.getvalue()


def _descriptor(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
