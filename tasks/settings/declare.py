"""How one setting is declared."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NewType

Pair = NewType("Pair", str)
"""An item of a list that may also be written as a mapping in YAML: key=value."""


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
    """Declare one setting.

    `env` is the environment variable's name when it is not STEPKUBE_GROUP_FIELD. `since` and
    `until` are the first and last Kubernetes minor that can do it (empty: all);
    `variable_since` and `variable_until` are those whose hack/local-up-cluster.sh reads the
    variable, where these are fewer, and `renamed` is what it is called in the others. An
    `ambient` variable is in every shell, so it is never wrong to have it. The value of a `secret`
    is not shown.
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
