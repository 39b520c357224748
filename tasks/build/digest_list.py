"""Lists of source digests: `digest  path` lines, compared and described."""

from __future__ import annotations

from collections.abc import Collection


def describe_changes(before: str, after: str) -> str:
    """Return a message with the files that differ between two lists of source digests."""
    old, new = parse_digests(before), parse_digests(after)
    changed = [path for path in old.keys() | new.keys() if old.get(path) != new.get(path)]
    return f"{len(changed)} file{'s' * (len(changed) != 1)} changed: {first_of(changed)}"


def first_of(paths: Collection[str]) -> str:
    """Return the first paths of a collection as text."""
    return ", ".join(sorted(paths)[:3]) + (", ..." if len(paths) > 3 else "")


def parse_digests(text: str) -> dict[str, str]:
    """Return path -> blob digest of source digests."""
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {path: blob for blob, path in pairs}
