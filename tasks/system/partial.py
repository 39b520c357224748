"""Partial downloads: the file with the bytes so far, and the state of the file that it is from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from tasks.system import damage, files


class Changed(Exception):  # noqa: N818 - not an error: the file is fetched from its start
    """The server's file is not the file that a previous transfer began."""


def validator(headers: Any) -> str:
    """Return the validator of a file's state (RFC 9110): a strong ETag, or else Last-Modified."""
    etag = str(headers.get("ETag") or "")
    return etag if etag.startswith('"') else str(headers.get("Last-Modified") or "")


def state_file(part: Path) -> Path:
    """Return the file with the state (validator and size) of the file that `part` is from."""
    return part.with_suffix(".of")


def read_state(part: Path) -> str:
    """Return the state of a file. Raises Changed if the state is damaged: start over."""
    try:
        text = damage.read_text(state_file(part), limit=4096)
    except FileNotFoundError:
        return ""
    except damage.DamagedError:
        raise Changed from None
    if not re.fullmatch(r"[ -~]*\n[0-9]+", text):
        raise Changed
    return text


def drop(part: Path) -> None:
    """Remove a partial download and its state."""
    files.remove(part)
    files.remove(state_file(part))


def size(part: Path) -> int:
    """Return the size in bytes, 0 without a file. A folder in its place is set aside."""
    if os.path.lexists(part) and not part.is_file():
        damage.set_aside(part, "it is not a regular file")
    return part.stat().st_size if part.exists() else 0
