"""The doit command line: `key=value` settings, options of `doit up`, start folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doit import doit_cmd, get_initial_workdir
from doit.cmdparse import CmdOption, CmdParse, CmdParseError

from tasks.cli.task import option
from tasks.core.errors import Failure
from tasks.settings import load
from tasks.settings.groups import GUESS
from tasks.settings.load import Settings
from tasks.settings.table import table

UP_OPTIONS = (
    option(
        "output",
        "folder of binaries to use instead of a build (build.output)",
        "",
        short="o",
    ),
    option(
        "guess",
        "use the newest binaries in _output of the tree instead of a build",
        short="O",
    ),
    option("bundle", "bundle file with tools and source, from `doit bundle` (origin.bundle)", ""),
    option("timeline", "file to write a timeline of the run to (logs.timeline)", ""),
)
"""Options of `doit up` that set settings."""
PASS_ON = frozenset({"kubectl"})
"""Tasks that get all arguments after their name, also `key=value` and options."""


def load_settings(instance: str = "") -> Settings:
    """Load the settings from the environment and the doit command line, or of another instance.

    Raises Failure naming the key if a setting is wrong, or if a secret is on the command line.
    """
    # doit's public get_var() returns one known key: it cannot show unknown keys
    argv, passed_on = split(sys.argv[1:])
    given = doit_cmd._CMDLINE_VARS or {}
    if passed_on is not None:  # doit took its key=value too
        words = (word.partition("=") for word in argv if word[:1] != "-" and "=" in word)
        given = {key: value for key, _, value in words}
    arguments = {**settings_from_up_options(argv), **given}
    for row in table():
        if row.secret and row.key in arguments:
            raise Failure(
                f"the command line ({row.key}=): every user of this machine can read the value",
                f"set it in the environment ({row.env}) or in {load.FILE}",
            )
    if instance:
        arguments["instance"] = instance
    return load.load(os.environ, arguments, folder=start_folder())


def split(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the arguments of doit, and those after a name of PASS_ON; None without such a name."""
    for index, word in enumerate(argv):
        if not word.startswith("-") and "=" not in word and word != "run":
            if word in PASS_ON:
                return [*argv[: index + 1]], [*argv[index + 1 :]]
            break
    return [*argv], None


def settings_from_up_options(argv: Sequence[str]) -> dict[str, str]:
    """Return the settings that the options of `doit up` set. Raises Failure for -o with -O.

    doit parses the options too, but only after the tasks exist: tasks depend on these settings.
    """
    arguments = [word for word in argv if word.startswith("-") or "=" not in word]
    up_options = arguments[arguments.index("up") + 1 :] if "up" in arguments else []
    try:
        values, _ = CmdParse([CmdOption(option) for option in UP_OPTIONS]).parse(up_options)
    except CmdParseError:  # doit prints it when it parses the options
        return {}
    if values["output"] and values["guess"]:
        raise Failure("-o and -O cannot be used together", "use only one of them")
    output = GUESS if values["guess"] else values["output"]
    settings = {
        "build.output": output,
        "origin.bundle": values["bundle"],
        "logs.timeline": values["timeline"],
    }
    return {key: value for key, value in settings.items() if value}


def setting_arguments() -> list[str]:
    """Return the `key=value` arguments of the command line, to pass them to another run."""
    return [f"{key}={value}" for key, value in (doit_cmd._CMDLINE_VARS or {}).items()]


def interspersed(
    options: Sequence[dict[str, Any]], arguments: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the options after the first positional argument, and all positional arguments.

    doit stops to parse options there. Raises Failure for a wrong option.
    """
    parser = CmdParse([CmdOption(item) for item in options])
    values: dict[str, Any] = {}
    positional: list[str] = []
    rest = list(arguments)
    try:
        while rest:
            values, rest = parser.parse_only(rest, values)
            positional += rest[:1]
            rest = rest[1:]
    except CmdParseError as error:
        raise Failure(str(error)) from error
    return values, positional


def start_folder() -> Path:
    """Return the folder in which doit was started: doit changes to the folder of dodo.py."""
    return Path(get_initial_workdir() or ".")
