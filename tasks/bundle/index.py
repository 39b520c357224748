"""Index of a bundle: what the bundle contains and which machine can use it.

A bundle is a .tar.gz of plain files. The index is its first member, manifest.json. It lists every
other member with size, mode and sha256, the checkout, the tools, and the architecture.
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
NOT_A_BUNDLE_HINT = "use a file that doit bundle wrote"
FORMAT = 1
LIMIT = 32 << 20
"""Maximum size of an index in bytes (the index of a Kubernetes with its Go has 2 MB)."""
PACK, EDITS, IGNORED = "source/objects.pack", "source/edits.patch", "source/ignored/"
_FOLDERS = ("source", "toolchain", "bin")
"""Top-level folders of a bundle."""


@dataclass(frozen=True)
class Entry:
    """One file of a bundle; `size` in bytes."""

    sha256: str
    size: int
    executable: bool = False


NO_LIBC = "none"


def host_libc() -> str:
    """Return name and version of this machine's C library."""
    return " ".join(platform.libc_ver())


@dataclass(frozen=True)
class Index:
    """The content of manifest.json; the fields are its JSON keys."""

    architecture: str
    """Name of the processor architecture, such as amd64."""
    checkout: Mapping[str, str]
    """Version, commit, origin and requested version of the checkout.

    `head` is the commit of the tree's repository, which can differ from upstream's commit. `tree`
    and `root` are paths on the machine that made the bundle: the tree, and the folder that the
    debug information of the binaries names.
    """
    tools: Mapping[str, Mapping[str, str]]
    """Records of the toolchain, with paths relative to the workspace."""
    members: Mapping[str, Entry]
    """All files except the index, by path in the bundle."""
    libc: str = field(default_factory=host_libc)
    """C library that the binaries are linked against, such as "glibc 2.36"; NO_LIBC for none."""
    format: int = FORMAT
    """Version of this format."""

    @property
    def size(self) -> int:
        """Total size of all members in bytes."""
        return sum(entry.size for entry in self.members.values())

    def modules(self) -> list[str]:
        """Return the modules whose binaries are in the bundle."""
        return sorted(name.rpartition("/")[2] for name in self.members if name.startswith("bin/"))


def dump(index: Index) -> bytes:
    """Return the bytes of manifest.json. Equal indexes give equal bytes."""
    return (json.dumps(asdict(index), indent=1, sort_keys=True) + "\n").encode()


def parse(data: bytes, bundle: str) -> Index:
    """Read the index of a bundle.

    Raises Failure if the index is damaged or has another format, or if one of its paths leads
    outside the workspace.
    """
    try:
        value: dict[str, Any] = json.loads(data)
        if value["format"] != FORMAT:
            raise Failure(
                f"{bundle} has format {value['format']}, this stepkube reads format {FORMAT}",
                "make the bundle again with the stepkube version of this machine",
            )
        members = {name: Entry(**entry) for name, entry in value.pop("members").items()}
        index = Index(**value, members=members)
        for text in (index.checkout[name] for name in ("version", "commit", "head")):
            if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.+-]*", text):
                raise ValueError(text)
        if not all(
            type(entry.size) is int and 0 <= entry.size < 1 << 50 for entry in members.values()
        ):
            raise ValueError("a size")
        names = [*members]
        for record in index.tools.values():
            names += [record[key] for key in ("bin", "root") if key in record]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Failure(
            f"{bundle} is not a bundle: cannot read {NAME} ({error!r})", NOT_A_BUNDLE_HINT
        ) from error
    for name in names:
        require_name(name, bundle)
    return index


def require_name(name: str, bundle: str) -> None:
    """Raise Failure if the path of a member leads outside the folders of a bundle, or into .git."""
    parts = name.split("/")
    invalid = any(part in ("", ".", "..") for part in parts)
    # git runs programs that the files of a .git folder name
    invalid = invalid or (parts[0] == "source" and ".git" in map(str.lower, parts))
    if invalid or parts[0] not in _FOLDERS or len(parts) < 2 or not name.isprintable():
        raise Failure(
            f"{bundle}: the path {name!r} leads outside the workspace, or into .git;"
            " nothing was imported",
            NOT_A_BUNDLE_HINT,
        )


def require_fit(index: Index, architecture: str, version: str, bundle: str) -> None:
    """Raise Failure if a bundle is for another architecture or another Kubernetes version."""
    if index.architecture != architecture:
        raise Failure(
            f"{bundle} is for {index.architecture}, this machine is {architecture}",
            f"make a bundle on a machine with {architecture}",
        )
    if not bundle_record.provides(index.checkout, version):
        bundled = index.checkout["version"]
        raise Failure(
            f"{bundle} has Kubernetes {bundled}, but version is {version}",
            f"set version to {bundled} (or auto), or make a bundle of {version}",
        )


def runs_here(libc: str) -> bool:
    """Return whether binaries that are linked against a C library run on this machine."""
    if libc == NO_LIBC:
        return True
    name, _, version = libc.partition(" ")
    installed_name, installed_version = platform.libc_ver()
    return name == installed_name and _numbers(version) <= _numbers(installed_version)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]{1,9}", version)]
