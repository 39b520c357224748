"""The program `doit` of this project: doit, with help for users where doit shows its internals.

pip installs it over the program of the package doit. Without it, all tasks work in the same way;
only `doit -h` and `doit help` without a task print the help of doit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from doit.doit_cmd import DoitMain

from tasks.cli import completion, help_command, task_names
from tasks.settings.load import ROOT


def main() -> int:
    """Run doit with the arguments of this process and return its exit code."""
    task_names.install_option_errors()
    if completion.requested(sys.argv[1:]) is not None:
        os.chdir(ROOT)  # a shell's start file prints the script in any folder
    return int(DoitMain().run(arguments(sys.argv[1:])) or 0)


def arguments(argv: Sequence[str]) -> list[str]:
    """Return the arguments for doit; a request for help becomes one that reads dodo.py."""
    name = help_command.requested(argv)
    if name is None:
        return list(argv)
    if name in {command.get_name() for command in DoitMain.DOIT_CMDS} - {"help"}:
        return ["help", name]
    return ["list"]  # dodo.py sees the arguments of the process and answers
