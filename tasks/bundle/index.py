"""What a bundle holds and for whom: its table of contents, written, read and checked.

A bundle is a .tar.gz of plain files. Its first member, manifest.json, names every other one with
its size, mode and sha256, the checkout and the tools they make up, and the architecture.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.core.errors import Failure
from tasks.kubernetes import bundle_record

NAME = "manifest.json"
FORMAT = 1
LIMIT = 32 << 20
"""Bytes a manifest may have (one of a Kubernetes with its Go has 2 MB)."""
PACK, EDITS, IGNORED = "source/objects.pack", "source/edits.patch", "source/ignored/"
_PLACES = ("source", "toolchain", "bin")


@dataclass(frozen=True)
class Entry:
    """One file of a bundle; `size` in bytes."""

    sha256: str
    size: int
    executable: bool = False


@dataclass(frozen=True)
class Index:
    """The table of contents.

    `checkout` has version, commit, origin, requested, head (the commit of the tree's repository,
    which need not be upstream's), and where the bundle was made the tree's path and the root that
    the binaries' debug information names; `tools` are records
    of the toolchain with paths relative to the workspace; `libc` is what the binaries were linked
    against.
    """

    architecture: str
    checkout: Mapping[str, str]
    tools: Mapping[str, Mapping[str, str]]
    members: Mapping[str, Entry]
    libc: str = field(default_factory=lambda: " ".join(platform.libc_ver()))
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(entry.size for entry in self.members.values())

    def modules(self) -> list[str]:
        """Return the modules whose binaries are in it."""
        return sorted(name.rpartition("/")[2] for name in self.members if name.startswith("bin/"))


def dump(manifest: Index) -> bytes:
    """Return a manifest as the bytes of its file, the same ones for the same content."""
    return (json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n").encode()


def parse(data: bytes, where: str) -> Index:
    """Read a manifest. Raises Failure for one that is damaged, too new, or leads elsewhere."""
    try:
        value: dict[str, Any] = json.loads(data)
        if value["format"] != FORMAT:
            raise Failure(
                f"{where} has format {value['format']}, this version reads {FORMAT}",
                "make the bundle with the version of the tool that is installed here",
            )
        members = {name: Entry(**entry) for name, entry in value.pop("members").items()}
        manifest = Index(**value, members=members)
        for text in (manifest.checkout[name] for name in ("version", "commit", "head")):
            if not re.fullmatch(r"[0-9A-Za-z.+-]+", text):
                raise ValueError(text)
        names = [*members]
        for record in manifest.tools.values():
            names += [record[key] for key in ("bin", "root") if key in record]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{where} is no bundle: its {NAME} is unreadable ({error!r})") from error
    for name in names:
        require_name(name, where)
    return manifest


def require_name(name: str, where: str) -> None:
    """Raise Failure for the name of a member that would not end up in its place."""
    parts = name.split("/")
    odd = any(part in ("", ".", "..") for part in parts)
    if odd or parts[0] not in _PLACES or len(parts) < 2 or not name.isprintable():
        raise Failure(f"{where}: the member {name!r} would leave its place: nothing was taken")


def require_fit(manifest: Index, architecture: str, wanted: str, where: str) -> None:
    """Raise Failure when a bundle is for another machine or of another version than `wanted`."""
    if manifest.architecture != architecture:
        raise Failure(
            f"{where} is for {manifest.architecture}, this machine is {architecture}",
            f"make one on a machine with {architecture}",
        )
    if not bundle_record.provides(manifest.checkout, wanted):
        has = manifest.checkout["version"]
        raise Failure(
            f"{where} has Kubernetes {has}, but version is {wanted}",
            f"set version to {has} (or auto), or make a bundle of {wanted}",
        )


def runs_here(libc: str) -> bool:
    """Tell whether what was linked against a C library runs with this machine's."""
    name, _, version = libc.partition(" ")
    own_name, own_version = platform.libc_ver()
    return name == own_name and _numbers(version) <= _numbers(own_version)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
