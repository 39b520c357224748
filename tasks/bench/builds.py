"""Builds in a scratch workspace next to bare `go build` with the same flags and environment."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.bench import edits, measure
from tasks.bench.measure import Sample
from tasks.bench.scratch import Scratch
from tasks.build import go_build, recipes
from tasks.build.tasks import load_binary
from tasks.components import registry
from tasks.core.errors import Failure
from tasks.kubernetes.tool_record import go_env, load_tool

MODULE = "kube-scheduler"
PACKAGE = Path("pkg/scheduler")
"""A package that only MODULE uses, with scheduler.go, scheduler_test.go and OWNERS."""
SHARED = Path("staging/src/k8s.io/apimachinery/pkg/util/errors/errors.go")
"""A file of a package that all modules use."""
OPTIONAL = "cloud-controller-manager"
"""A module that `doit up` does not build by default."""
_COMPILED = re.compile(r"(\d+) packages compiled")


@dataclass(frozen=True)
class Builds:
    """Pairs of builds after an edit that is new each time."""

    scratch: Scratch
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def file(self, path: Path) -> Path:
        """Return a file of the tree. Raises Failure if the tree does not have it."""
        found = self.scratch.checkout.tree / path
        if not found.is_file():
            raise Failure(f"the tree has no {path}", "choose other rows with --rows")
        return found

    def edited(self, path: Path, modules: Sequence[str]) -> Sample:
        """Append a function to a Go file and build; return the times of the build."""
        with edits.appended(self.scratch.user, self.file(path), self._function()):
            return self.scratch.doit(*(f"build:{module}" for module in modules))[0]

    def bare(self, path: Path, modules: Sequence[str]) -> Sample:
        """Append a function to a Go file and run only `go build`; return its times."""
        with edits.appended(self.scratch.user, self.file(path), self._function()):
            return go(self.scratch, modules)

    def compiled(self, path: Path, text: str) -> tuple[Sample, int, bool]:
        """Append a text to a file and build MODULE.

        Returns the times, the number of packages that go compiled, and whether there is another
        binary.
        """
        settings = self.scratch.settings
        self.scratch.doit(f"build:{MODULE}")  # without the edit of an earlier row
        before = load_binary(settings, MODULE).path
        comment = text.format(next(self._numbers))
        with edits.appended(self.scratch.user, self.file(path), comment):
            sample, output = self.scratch.doit(f"build:{MODULE}")
            is_new = load_binary(settings, MODULE).path != before
        return sample, packages(output), is_new

    def _function(self) -> str:
        number = next(self._numbers)
        return f"\n// stepkube bench\nfunc stepkubeBench{number}() int {{ return {number} }}\n"


def packages(output: str) -> int:
    """Return the number of packages that go compiled, from the output of doit."""
    return sum(int(number) for number in _COMPILED.findall(output))


def go(scratch: Scratch, modules: Sequence[str]) -> Sample:
    """Run bare `go build` for modules, once per recipe, as a user would; return the sum of times.

    The modules must have been built before: flags and environment are those of their build.
    """
    settings, out = scratch.settings, scratch.settings.paths.home / "bare"
    wall = processor = 0.0
    for cgo in (False, True):
        made = {
            module: recipes.recipe_for(
                settings, scratch.checkout, module, settings.paths.sources(module).read_text()
            )
            for module in modules
        }
        group = [module for module in modules if made[module].cgo is cgo]
        if not group:
            continue
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        command = go_build.command_for(settings, group, made[group[0]], out)
        sample, _ = measure.command(*command.argv, cwd=command.folder, env=command.env)
        wall, processor = wall + sample.wall, processor + sample.processor
    shutil.rmtree(out, ignore_errors=True)
    return Sample(wall, processor)


def environment(scratch: Scratch) -> dict[str, str]:
    """Return the environment of the tree's own make, with Go and its cache of the scratch."""
    settings = scratch.settings
    env = go_env(settings, load_tool(settings, "go"))
    kept = {name: value for name, value in env.items() if name not in ("GOPATH", "GOFLAGS")}
    return {**kept, "GOPROXY": "off", "FORCE_HOST_GO": "y"}


def all_modules(scratch: Scratch) -> list[str]:
    """Return the modules that the tree has."""
    return [
        module
        for module in registry.modules()
        if (scratch.checkout.tree / "cmd" / module).is_dir() and module != OPTIONAL
    ]
