"""Mount points below a folder, read from /proc/self/mountinfo (proc(5)), and their unmounting."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tasks.system.run import run

TABLE = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def mount_points(folder: Path, table: Path = TABLE) -> list[Path]:
    """Return the mount points below a folder, the last one mounted first."""
    folder = folder.resolve()  # the kernel lists paths without links
    # the kernel escapes blanks and line breaks of ASCII only, Python would split at others too
    rows = [line.split(" ") for line in os.fsdecode(table.read_bytes()).split("\n")]
    points = (Path(_unescape(row[4])) for row in rows if len(row) > 4)
    return [point for point in reversed(list(points)) if folder in point.parents]


def unmount(folder: Path) -> list[str]:
    """Unmount all mount points below a folder; return umount(8)'s error for each that stays."""
    errors = []
    for point in mount_points(folder):
        result = run("umount", "--", point, check=False, timeout=60)
        if result.code:
            errors.append(result.tail(1))
    return errors


def _unescape(path: str) -> str:
    r"""Return a path of mountinfo without octal escapes: the kernel writes a blank as \040."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path)
