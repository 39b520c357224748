"""State of one benchmark, and what its rows share: a scratch workspace, a scratch cluster."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tasks.bench import measure, scratch
from tasks.bench.builds import MODULE, Builds
from tasks.bench.measure import Sample
from tasks.bench.scratch import Scratch
from tasks.settings.load import Settings


@dataclass
class Bench:
    """State of one benchmark: what several rows share is made when a row needs it."""

    user: Settings
    runs: int
    progress: Callable[[str], None]
    stack: ExitStack
    """Removes what was made."""

    @functools.cached_property
    def scratch(self) -> Scratch:
        """The scratch workspace, with a binary of MODULE."""
        self.progress("copies the workspace and builds")
        made = self.stack.enter_context(scratch.workspace(self.user, name="warm"))
        made.doit(f"build:{MODULE}")
        return made

    @functools.cached_property
    def builds(self) -> Builds:
        """The builds of the scratch workspace; they number its edits."""
        return Builds(self.scratch)

    @functools.cached_property
    def cluster(self) -> Scratch:
        """The scratch workspace with a running control plane."""
        made = self.scratch
        self.progress("starts a control plane in the scratch workspace")
        made.doit("up")
        return made

    def pairs(self, row: str, *functions: Callable[[], Sample]) -> list[list[Sample]]:
        """Call functions in turn, with one line of progress per run."""
        return measure.in_turn(
            self.runs,
            *functions,
            progress=lambda number: self.progress(f"{row}: run {number} of {self.runs}"),
        )

    def time(self, *words: str) -> Sample:
        """Run doit in the user's workspace, with the settings of this command line."""
        settings = (word for word in sys.argv[1:] if "=" in word and not word.startswith("-"))
        return scratch.doit(os.environ, *settings, *words)[0]
