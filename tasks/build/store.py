"""Binaries in bin/<digest>/: several digests can describe the same binary."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from tasks.system import files

_BUILD_ID = re.compile(rb"\x04\0\0\0....\x04\0\0\0Go\0\0([^\0]+)", re.DOTALL)
"""Matches the ELF note of Go's build id."""
_START = 1 << 16
"""Bytes at the start of a binary that contain its notes."""


def link(path: Path, binary: Path) -> None:
    """Make a stored binary known under the path of another digest that describes it too."""
    files.link(path, Path("..", binary.parent.name, binary.name))


def followed(path: Path) -> Path:
    """Return the path of a stored binary, if `path` is a link to it; otherwise `path`."""
    if not path.is_symlink():
        return path
    target = path.readlink()
    return path.parent.parent / target.parent.name / target.name


def build_id(path: Path) -> str:
    """Return the id that go wrote into a binary, a digest of its content; empty for none."""
    with suppress(OSError), path.open("rb") as stream:
        match = _BUILD_ID.search(stream.read(_START))
        return match[1].decode(errors="replace") if match else ""
    return ""
