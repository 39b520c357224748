"""Flags that the user gives a component: their names, and the errors that need no binary.

A user's flag is never left out, unlike a flag of stepkube: what the component does not know is an
error.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.core.errors import Failure
from tasks.settings.load import Settings

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_NUMBER = re.compile(r"-\d+(\.\d+)?")
_NOT_RUNNING = ("help", "version")
"""Flags that print a text: the component would exit."""
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
"""A hyphen, and what a text processor writes for it."""


@dataclass(frozen=True)
class Flag:
    """One flag of the user."""

    name: str
    """The name without dashes, as the user writes it."""
    value: str | None
    """The value; None if there is none."""
    separate: bool = False
    """Whether the value is an argument of its own, as in `--flag value`."""

    @property
    def normal_name(self) -> str:
        """The name as Kubernetes compares it: it reads _ as -."""
        return self.name.replace("_", "-")


def arguments(settings: Settings, key: str) -> list[str]:
    """Return the arguments in a setting of flags, split like a shell does.

    Raises Failure when the quoting is invalid.
    """
    try:
        return shlex.split(settings.value(key))
    except ValueError as error:
        source = settings.source(key)
        raise Failure(f"{source}: {str(error).lower()}", "use shell quoting") from error


def parse(arguments: Sequence[str], source: str) -> list[Flag]:
    """Return the flags in arguments. Raises Failure for an argument that is not a flag."""
    found: list[Flag] = []
    for argument in arguments:
        before = found[-1] if found else None
        open_value = before is not None and before.value is None
        if before and open_value and (not argument.startswith("-") or _NUMBER.fullmatch(argument)):
            found[-1] = Flag(before.name, argument, separate=True)
            continue
        dashes = re.match("-*", argument)
        count = len(dashes[0]) if dashes else 0
        name, equals, value = argument[count:].partition("=")
        is_short = count == 1 and len(name) == 1
        if _NAME.fullmatch(name) and (count == 2 or is_short):
            found.append(Flag(name, value if equals else None))
        else:
            raise _not_a_flag(source, argument, before)
    return found


def problems(settings: Settings, key: str) -> Iterator[Failure]:
    """Yield the failures of a setting of flags that can be found without the binary."""
    source = settings.source(key)
    try:
        found = parse(arguments(settings, key), source)
    except Failure as failure:
        yield failure
        return
    for flag in found:
        if flag.normal_name in _NOT_RUNNING or (flag.name == "h" and flag.value is None):
            shown = f"-{flag.name}" if len(flag.name) == 1 else f"--{flag.name}"
            yield Failure(
                f"{source}: with {shown} the component prints a text and exits", f"remove {shown}"
            )


def _not_a_flag(source: str, argument: str, before: Flag | None) -> Failure:
    bare = argument.lstrip(_DASHES)
    if before is not None and before.value is not None and not argument.startswith("-"):
        value = f"{before.value} {argument}"
        return Failure(
            f"{source}: {argument!r} is not a flag",
            f"use --{bare or 'NAME=VALUE'}, or quote a value with blanks:"
            f" {shlex.quote(f'--{before.name}={value}')}",
        )
    name, _, value = bare.partition(" ")
    hint = f"--{bare}" if not value or "=" in name else f"--{name}={value.strip(' =')}"
    return Failure(
        f"{source}: {argument!r} is not a flag",
        f"use for example {hint}" if bare.lstrip("=") == bare != "" else "use --NAME=VALUE",
    )
