"""Names of the rows of bench:pipeline, for its option --rows."""

from __future__ import annotations

import difflib

from tasks.core.errors import Failure

SHORT = ("look", "idle", "edit", "comments", "branch")
"""Rows that are measured by default: a few minutes."""
LONG = ("edit-all", "serve", "start", "attach", "growth", "make", "cold")
"""Rows that are measured only when they are named."""
ALL = (*SHORT, *LONG)


def selected(text: str) -> list[str]:
    """Return the rows of --rows: names separated by commas, `all`, or nothing for the short ones.

    Raises Failure for a name that does not exist.
    """
    if text in ("", "all"):
        return [*(ALL if text else SHORT)]
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in ALL:
            near = difflib.get_close_matches(name, ALL, n=1)
            fix = f"did you mean {near[0]}?" if near else f"use: {', '.join(ALL)}, or all"
            raise Failure(f"--rows: there is no row named {name!r}", fix)
    return [name for name in ALL if name in names]
