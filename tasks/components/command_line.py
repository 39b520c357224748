"""Command lines of components: which desired flags a program takes, and how it reads them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from tasks.components.base import Context
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.settings.load import Settings
from tasks.settings.paths import absolute

Value = str | int | float | bool | Path
Flags = Mapping[str, Value]
"""Flag names without dashes, in order, with their values."""


def argv(component: str, context: Context, desired: Flags) -> tuple[str, ...]:
    """Return the command line: the program and, of the desired flags, those it takes."""
    taken = {
        name: value for name, value in desired.items() if is_supported(component, context, name)
    }
    return (str(context.binary), *(f"--{name}={text(value)}" for name, value in taken.items()))


def unsupported(component: str, context: Context, desired: Flags) -> tuple[str, ...]:
    """Return the desired flags that the program does not take, for `explain`."""
    return tuple(name for name in desired if not is_supported(component, context, name))


def is_supported(component: str, context: Context, name: str) -> bool:
    """Tell whether the program takes a flag: its own --help decides, else the facts.

    A deprecated flag is hidden from --help although it works, so for those the facts decide.
    """
    if context.flags is None or facts.flag_hidden(component, name):
        return facts.flag_known(component, name, context.minor)
    return name in context.flags


def text(value: Value) -> str:
    """Return a value as a Go program reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def file_flags(**files: str) -> dict[str, Value]:
    """Return the flags whose files the user named, without the others."""
    return {name: absolute(value) for name, value in files.items() if value}


def extra_flags(settings: Settings, key: str) -> list[str]:
    """Return the flags a user adds by a setting, split like a shell does."""
    try:
        return shlex.split(settings.value(key))
    except ValueError as error:
        source = settings.source(key)
        raise Failure(f"{source}: {str(error).lower()}", "quote it like a shell wants") from error
