"""What is mounted below a folder, as proc(5) tells of /proc/self/mountinfo, and its end."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.system.run import run

TABLE = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def below(folder: Path, table: Path = TABLE) -> list[Path]:
    """Return the mount points below a folder, the last one mounted first."""
    folder = folder.resolve()  # as the kernel has it, whatever links led there
    points = (Path(_plain(line.split()[4])) for line in table.read_text().splitlines())
    return [point for point in reversed(list(points)) if folder in point.parents]


def detach(folder: Path) -> list[str]:
    """Unmount all below a folder; return what umount(8) says of each that stays."""
    refused = []
    for point in below(folder):
        answer = run("umount", "--", point, check=False, timeout=60)
        if answer.code:
            refused.append(answer.tail(1))
    return refused


def _plain(word: str) -> str:
    r"""Return a path whose blanks and the like the kernel wrote as \040."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), word)
