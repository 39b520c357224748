"""A round of the watch: a run of doit that builds and restarts what changed, and its one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tasks.cli import command_line, report
from tasks.cli.report import Report
from tasks.core import console
from tasks.settings.load import ROOT, Settings
from tasks.system import files, process, state
from tasks.system.procfs import Identity
from tasks.system.run import UMASK, announce, stop_group, stop_on_exit

_ERROR = re.compile(r"^\s*\|?\s*(\S+\.\w+:\d+(?::\d+)?: .*)$", re.MULTILINE)
"""Matches an error of the compiler: file, line, column, text. A line of a stack has no colon."""


@dataclass(frozen=True)
class Round:
    """What a round did."""

    seconds: float
    restarted: tuple[str, ...]
    """Components with another process than before."""
    built: tuple[str, ...]
    """Modules with a build of their own, which no component runs: kubectl."""
    notes: tuple[str, ...]
    """Notes about the debugger."""
    failure: str

    def line(self) -> str:
        """Return the line of the round; it ends with the time that the round took."""
        parts = []
        if self.failure:
            parts.append(f"FAILED {_short(self.failure)}")
        if self.restarted and self.failure:
            parts.append(f"{', '.join(self.restarted)} restarted as before, see `doit status`")
        elif self.restarted:
            parts.append(f"{', '.join(self.restarted)} restarted")
        elif self.failure:
            parts.append("the running processes stay")
        if self.built:
            parts.append(f"{', '.join(self.built)} built")
        parts += self.notes
        return f"{'; '.join(parts) or 'no binary changed'}, {self.seconds:.1f} s"


def _short(failure: str) -> str:
    """Return the first error of the compiler in a failure, else its first line and its fix."""
    error = _ERROR.search(failure)
    if error:
        return error[1]
    first, *more = failure.strip().splitlines()
    fix = next((line.strip() for line in reversed(more) if line.strip().startswith("fix: ")), "")
    return f"{first} ({fix})" if fix else first


def run(settings: Settings, components: Sequence[str], modules: Sequence[str]) -> Round:
    """Build and restart components, and build modules that no component runs."""
    target = settings.paths.run / "watch-report.json"
    files.remove(target)
    before, start = _identities(settings, components), time.monotonic()
    tasks = [*(f"start:{name}" for name in components), *(f"build:{name}" for name in modules)]
    unreported = _run_doit(settings, tasks, components, {report.VARIABLE: str(target)})
    result = state.load(target, Report) or Report(failure=unreported)
    files.remove(target)
    after = _identities(settings, components)
    about = [
        f"{name}: {note}"
        for name in components
        for note in result.notes.get(f"start:{name}", ())
        if not note.startswith(("restarted:", "runs as", "pid "))
    ]
    return Round(
        seconds=time.monotonic() - start,
        restarted=tuple(name for name in components if before[name] != after[name]),
        built=tuple(name for name in modules if f"build:{name}" in result.notes),
        notes=tuple(about),
        failure=result.failure,
    )


def command() -> list[str]:
    """Return the argv that starts doit, without tasks."""
    return [sys.executable, "-m", "doit", f"--file={ROOT / 'dodo.py'}"]


def _run_doit(
    settings: Settings, tasks: Sequence[str], components: Sequence[str], env: Mapping[str, str]
) -> str:
    """Run doit and return how it failed, for a run that wrote no report; print what it waits for.

    When this run is interrupted, the child is stopped, but not while it replaces a process: it
    holds the lock of the component then.
    """
    argv = [*command(), *command_line.setting_arguments(), *tasks]
    announce(argv)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            argv,
            cwd=command_line.start_folder(),
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            umask=UMASK,
        )

    lines: list[str] = []
    with stop_on_exit(start) as child:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        try:
            for line in child.stdout:
                lines.append(line.rstrip("\n"))
                _forward(lines[-1])
            child.wait()
        except BaseException:
            with _locked(settings, components):
                stop_group(child)
            raise
        finally:
            child.stdout.close()
    return "\n".join([f"doit exited with {child.returncode}, without a report", *lines[-12:]])


def _forward(line: str) -> None:
    """Print a line of the child that the user must see now: it waits, warns or makes progress."""
    if line.startswith(("  waiting for ", "warning: ")):
        console.say(line)
    elif line.startswith("  ... "):
        console.progress(line.removeprefix("  ... "))


@contextmanager
def _locked(settings: Settings, components: Sequence[str]) -> Iterator[None]:
    """Wait until no run replaces a process of these components, and keep others waiting."""
    with ExitStack() as stack:
        for name in sorted(components):
            stack.enter_context(files.locked(settings.paths.run / f"{name}.lock"))
        yield


def _identities(settings: Settings, components: Sequence[str]) -> dict[str, Identity | None]:
    records = {name: process.load(settings.paths.run, name) for name in components}
    return {name: record.identity if record else None for name, record in records.items()}
