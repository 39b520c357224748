"""All settings as rows of a table, in order of declaration."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import Any, NewType, get_type_hints

from tasks.settings import groups


@dataclass(frozen=True)
class Row:
    """A setting: key, environment variable, type, default; the other fields are as in `option`."""

    key: str
    env: str
    kind: Any
    default: Any
    doc: str
    since: str = ""
    until: str = ""
    variable_since: str = ""
    variable_until: str = ""
    renamed: str = ""
    ambient: bool = False
    secret: bool = False
    word: str = ""

    @property
    def is_text(self) -> bool:
        """Return whether the value is a text, so that it can be empty."""
        return self.kind is str or isinstance(self.kind, NewType)

    @property
    def is_stepkube_variable(self) -> bool:
        """Return whether the variable is stepkube's and not upstream's."""
        return self.env.startswith("STEPKUBE_")


@functools.cache
def table() -> list[Row]:
    """Return all settings in order of declaration."""
    rows = [
        Row(
            "version",
            "STEPKUBE_VERSION",
            str,
            "auto",
            "auto, a release (v1.20.2), a minor (v1.20 means its newest release), a branch or a"
            " commit",
        ),
        Row("instance", "STEPKUBE_INSTANCE", str, "default", "name of the cluster"),
    ]
    for group, kind in groups.GROUPS.items():
        hints = get_type_hints(kind)
        for item in fields(kind):
            declared = dict(item.metadata)
            env = declared.pop("env") or f"STEPKUBE_{group}_{item.name}".upper()
            key = f"{group}.{item.name}"
            rows.append(Row(key, env, hints[item.name], item.default, **declared))
    return rows
