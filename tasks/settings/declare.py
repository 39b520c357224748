"""Declaration of one setting: `option` is a dataclass field with its variable and versions."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NewType

Pair = NewType("Pair", str)
"""An item `key=value` of a list; in YAML the list can be a mapping."""
Items = NewType("Items", str)
"""A text with commas between its items; in YAML it can be a list."""
Pairs = NewType("Pairs", str)
"""A text `name=value,name=value`; in YAML it can be a mapping or a list."""
Thresholds = NewType("Thresholds", str)
"""A text `signal<quantity,signal<quantity`; in YAML it can be a mapping or a list."""
Flags = NewType("Flags", str)
"""Arguments with shell quoting; in YAML they can be a list, or a mapping of names to values."""
UserPath = NewType("UserPath", str)
"""A path; a relative one starts at the folder of its source, see user_paths.py."""
Location = NewType("Location", str)
"""A URL, or a path."""
Command = NewType("Command", str)
"""The name of a program, or its path."""
Repository = NewType("Repository", str)
"""A git URL, or the path of a local repository."""


def option(
    default: Any,
    doc: str,
    env: str = "",
    since: str = "",
    until: str = "",
    *,
    variable_since: str = "",
    variable_until: str = "",
    renamed: str = "",
    ambient: bool = False,
    secret: bool = False,
    word: str = "",
) -> Any:
    """Declare one setting as a field of its group's dataclass.

    - `env`: its environment variable, if that is not STEPKUBE_GROUP_FIELD.
    - `since`, `until`: the first and last Kubernetes minor that supports it; empty means all.
    - `variable_since`, `variable_until`: the first and last minor whose hack/local-up-cluster.sh
      reads the variable, if these are fewer.
    - `renamed`: the variable's name in the other minors.
    - `ambient`: every shell has the variable, so it is never refused.
    - `secret`: the value is never printed.
    - `word`: a value of a path that is not a path.
    """
    metadata = {
        "doc": doc,
        "env": env,
        "since": since,
        "until": until,
        "variable_since": variable_since,
        "variable_until": variable_until,
        "renamed": renamed,
        "ambient": ambient,
        "secret": secret,
        "word": word,
    }
    return field(default=default, metadata=metadata, repr=not secret)
