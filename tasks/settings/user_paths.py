"""Paths in settings: relative to the folder of their source; ~ and variables are expanded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.errors import Failure
from tasks.settings.declare import Command, Location, Repository, UserPath

_VARIABLE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")
_PATH_KINDS = (Command, Location, Repository, UserPath)


@dataclass(frozen=True)
class Place:
    """The place of a value: its source for messages, and how a path in it is read."""

    source: str
    folder: Path
    """The folder at which a relative path starts."""
    variables: Mapping[str, str] | None = field(default=None, repr=False)
    """The variables that a path can contain; None if the shell has already replaced them."""

    def path(self, text: str) -> str:
        """Return a path as absolute text; empty text stays empty. Raises ValueError with why not.

        `~` is the home folder of the user, `~NAME` that of another user. In stepkube.yaml, `$NAME`
        and `${NAME}` are variables, and `$$` is a dollar sign.
        """
        if not text:
            return ""
        if any(ord(character) < ord(" ") for character in text):
            raise ValueError("a path: it has a line break or another control character")
        try:
            expanded = Path(self._expand(text)).expanduser()
        except RuntimeError:
            raise ValueError("a path: this user has no home folder") from None
        parts = map(os.fsencode, expanded.parts)
        if len(os.fsencode(expanded)) >= 4096 or any(len(part) > 255 for part in parts):
            raise ValueError("a path that Linux can have: it is too long")
        return str(self.folder / expanded)

    def _expand(self, text: str) -> str:
        variables = self.variables
        if variables is None:
            return text

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if name and not variables.get(name):
                raise ValueError(f"a path: the variable {name} is not set ($$ is a dollar sign)")
            return variables[name] if name else "$"

        return _VARIABLE.sub(value, text)


def variable(environ: Mapping[str, str], name: str, folder: Path) -> Path | None:
    """Return the path in a variable that is not a setting, or None. Raises Failure naming it."""
    place = Place(f"the environment ({name})", folder)
    try:
        text = place.path(environ.get(name, ""))
    except ValueError as error:
        message = f"{place.source}: {environ[name]!r} is not {error}"
        raise Failure(message, "correct the path") from None
    return Path(text) if text else None


def is_path(kind: Any) -> bool:
    """Return whether a setting of this type is a path, or can be one."""
    return kind in _PATH_KINDS


def resolve(text: str, kind: Any, place: Place) -> str:
    """Return the value of a setting of a path type, with an absolute path.

    Raises ValueError if it is not a path.
    """
    if kind is Location and "://" in text:
        return text
    if kind is Command and not re.search(r"^~|/", text):
        return text
    if kind is Repository:
        if "://" in text:
            return text
        path = place.path(text)
        is_local = text.startswith(("/", "~", ".", "$")) or Path(path).exists()
        return path if is_local else text
    return place.path(text)
