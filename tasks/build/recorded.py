"""Source digests of a module as the *.sources file has them; each file is read once per run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tasks.build import file_table
from tasks.build.file_table import State
from tasks.core.doit_run import once_per_run
from tasks.settings.load import Settings
from tasks.system import damage, files

_LINES = re.compile(r"([0-9a-f]{40,64}  [^\n]+\n)*")


class Recorded(NamedTuple):
    """Source digests of a module and the digest of this text; both are empty if there are none."""

    text: str
    digest: str


def digests(settings: Settings, module: str) -> Recorded:
    """Return the source digests of a module as written. A damaged file is set aside."""
    path = settings.paths.sources(module)
    now = file_table.state_of(str(path))
    before, known = _known().get(path, ([], Recorded("", "")))
    if before == now:
        return known
    try:
        text = damage.read_text(path)
        if _LINES.fullmatch(text):
            found = Recorded(text, files.digest(text))
            _known()[path] = now, found
            return found
        damage.set_aside(path, "it has a line without a digest")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except damage.DamagedError as error:
        damage.set_aside(path, error)
    return Recorded("", "")


@once_per_run
def _known() -> dict[Path, tuple[State, Recorded]]:
    """Return what was read in this run by path, with the state of the file before."""
    return {}
