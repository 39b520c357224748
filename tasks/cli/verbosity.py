"""How much the tool tells of what it does itself (KUBE_VERBOSE)."""

from __future__ import annotations

import os
import shlex
import sys

from tasks.core import console
from tasks.system import run


def choose(level: int) -> None:
    """Print every command from level 2 on, and tracebacks from level 5 on."""
    if level >= 2:
        run.command_listeners.append(
            lambda words: console.say(f"+ {shlex.join(words)}", stream=sys.stderr)
        )
    if level >= 5:
        os.environ.setdefault("STEPKUBE_DEBUG", "1")
