"""Command lines of components: the flags that a program accepts, and the text of their values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.components.base import Context
from tasks.kubernetes import facts
from tasks.settings.paths import absolute

Value = str | int | float | bool | Path
Flags = Mapping[str, Value]
"""Flag names without dashes, in order, with their values."""


def argv(component: str, context: Context, desired: Flags) -> tuple[str, ...]:
    """Return the command line: the program, and the desired flags that it accepts."""
    accepted = {
        name: value for name, value in desired.items() if is_supported(component, context, name)
    }
    return (str(context.binary), *(f"--{name}={text(value)}" for name, value in accepted.items()))


def unsupported(component: str, context: Context, desired: Flags) -> tuple[str, ...]:
    """Return the desired flags that the program does not accept, for `doit explain`."""
    return tuple(name for name in desired if not is_supported(component, context, name))


def is_supported(component: str, context: Context, name: str) -> bool:
    """Return whether the program accepts a flag, by its --help or, without that, by the facts.

    --help hides a deprecated flag that still works, so the facts decide for hidden flags.
    """
    if context.flags is None or facts.flag_hidden(component, name):
        return facts.flag_known(component, name, context.minor)
    return name in context.flags


def text(value: Value) -> str:
    """Return the text of a flag value, as a Go program reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def file_flags(**files: str) -> dict[str, Value]:
    """Return the flags whose file is set, with absolute paths."""
    return {name: absolute(value) for name, value in files.items() if value}
