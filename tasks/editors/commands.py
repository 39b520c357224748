"""Command lines with which an editor puts a component under Delve and takes it out again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from tasks.cli.command_line import start_folder
from tasks.core.redact import mask
from tasks.settings.load import ROOT, Settings
from tasks.settings.user_paths import variable

Argv = tuple[str, ...]


def doit(settings: Settings, tasks: Iterable[str]) -> Argv:
    """Return the argv that runs tasks of this instance from any folder and environment."""
    environ = {"STEPKUBE_HOME": str(settings.paths.home), "STEPKUBE_INSTANCE": settings.name}
    file = variable(os.environ, "STEPKUBE_CONFIG", start_folder())
    if file:
        environ["STEPKUBE_CONFIG"] = str(file)
    return (
        "/usr/bin/env",
        *(f"{name}={value}" for name, value in environ.items()),
        *(sys.executable, "-m", "doit", f"--file={ROOT / 'dodo.py'}"),
        *tasks,
        *_settings(settings),
    )


def _settings(settings: Settings) -> list[str]:
    """Return the settings of this run's command line and environment that debug depends on.

    The editor does not have them. A text with a password is left out: other users can read the
    editor's files.
    """
    given = {
        key: settings.value(key)
        for key, source in settings.sources.items()
        if key.startswith(("version", "origin.", "debug."))
        and source.startswith(("the command line", "the environment"))
    }
    texts = {key: str(value) for key, value in given.items() if isinstance(value, str | int)}
    return [f"{key}={text}" for key, text in texts.items() if mask(text) == text]
