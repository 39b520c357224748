"""Declaration of one setting: `option` is a dataclass field with its variable and versions."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NewType

Pair = NewType("Pair", str)
"""An item `key=value` of a list; in YAML the list can be a mapping."""


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
) -> Any:
    """Declare one setting as a field of its group's dataclass.

    - `env`: its environment variable, if that is not STEPKUBE_GROUP_FIELD.
    - `since`, `until`: the first and last Kubernetes minor that supports it; empty means all.
    - `variable_since`, `variable_until`: the first and last minor whose hack/local-up-cluster.sh
      reads the variable, if these are fewer.
    - `renamed`: the variable's name in the other minors.
    - `ambient`: every shell has the variable, so it is never refused.
    - `secret`: the value is never printed.
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
    }
    return field(default=default, metadata=metadata, repr=not secret)
