"""The words of the doit command line: `key=value` settings, options of `doit up`, start folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

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
        "use the binaries of this folder instead of building (build.output)",
        "",
        short="o",
    ),
    option(
        "guess", "use the newest binaries below the tree's _output instead of building", short="O"
    ),
    option("bundle", "take tools and source from this file of `doit bundle` (origin.bundle)", ""),
)
"""Options of `doit up` that stand for settings."""


def load_settings() -> Settings:
    """Return the settings of this process: real environment, words of the doit command line."""
    # doit's public get_var() answers for one key only: a key that is no setting would go unseen
    words = {**settings_from_up_options(sys.argv[1:]), **(doit_cmd._CMDLINE_VARS or {})}
    for row in table():
        if row.secret and row.key in words:
            raise Failure(
                f"the command line ({row.key}=): every user of this machine can read it there",
                f"put it in the environment ({row.env}) or in {load.FILE}",
            )
    return load.load(os.environ, words)


def settings_from_up_options(argv: Sequence[str]) -> dict[str, str]:
    """Return the settings that the options of `doit up` stand for.

    doit reads them again, for its help and its errors; but that is after the tasks were made.
    """
    words = [word for word in argv if word.startswith("-") or "=" not in word]
    rest = words[words.index("up") + 1 :] if "up" in words else []
    try:
        given, _ = CmdParse([CmdOption(option) for option in UP_OPTIONS]).parse(rest)
    except CmdParseError:
        return {}
    if given["output"] and given["guess"]:
        raise Failure("-o names a folder and -O guesses one", "leave one of them out")
    output = GUESS if given["guess"] else given["output"]
    found = {"build.output": output, "origin.bundle": given["bundle"]}
    return {key: value for key, value in found.items() if value}


def start_folder() -> Path:
    """Return the folder doit was started in; it changes to that of dodo.py."""
    return Path(get_initial_workdir() or ".")
