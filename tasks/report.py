"""The one place that prints: notes of a running step, the doit reporter, the closing summary."""

from __future__ import annotations

import errno
import functools
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any, ParamSpec

from doit.exceptions import BaseFail, TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter

from tasks.failure import Failure
from tasks.system.mask import mask

P = ParamSpec("P")

_notes: list[str] = []
_selected: list[str] = []
_all: dict[str, Any] = {}

ANSWER = {"quiet": True, "answer": True}
"""The `meta` of a task whose output is all that a caller wants to read."""
OUTPUT = {
    "name": "output",
    "long": "output",
    "short": "o",
    "default": "text",
    "choices": (("text", "for people"), ("json", "for machines")),
    "help": "form of the answer",
}
"""The option of a task that answers people and machines."""


def say(text: str = "", *, stream: IO[str] | None = None) -> None:
    """Print one line for the user at once; a password in an address is never shown."""
    out = stream or sys.stdout
    try:
        _clear(out)
        out.write(mask(text) + "\n")
        out.flush()
    except BrokenPipeError:
        mute(out.fileno())


def mute(*descriptors: int) -> None:
    """Go on when nobody reads any more, as after `| head`: nothing may end half done over that."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    say(f"warning: {text}", stream=sys.stderr)


def note(text: str) -> None:
    """Add a few words to the line that closes the current step."""
    _notes.append(text)


def progress(text: str) -> None:
    """Show a line that the next one overwrites; silent where there is no terminal."""
    if _live(sys.stdout):
        sys.stdout.write(f"\r\x1b[K  {mask(text)[:_width() - 3]}")
        sys.stdout.flush()


class Heartbeat:
    """Progress of a long step: a live line on a terminal, a plain line every so often elsewhere."""

    def __init__(self, every: float = 20.0) -> None:
        self._start = time.monotonic()
        self._last = self._start
        self._every = every

    def beat(self, text: str) -> None:
        """Report where the step stands; cheap enough to call on every line of output."""
        now = time.monotonic()
        line = f"{text}, {now - self._start:.0f} s"
        if _live(sys.stdout):
            progress(line)
        elif now - self._last >= self._every:
            self._last = now
            say(f"  ... {line}")


def action(function: Callable[P, Any]) -> Callable[P, Any]:
    """Make a function a doit action: a Failure ends the task with words, not with a traceback."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return function(*args, **kwargs)
        except Failure as failure:
            return TaskFailed(str(failure))
        except OSError as error:
            if os.environ.get("STEPKUBE_DEBUG"):
                raise
            return TaskFailed(str(_in_words(error)))

    return guarded


def _in_words(error: OSError) -> Failure:
    what = f"{error.filename or 'the system'}: {error.strerror or error}"
    hint = "STEPKUBE_DEBUG=1 shows where this came from"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space, or point STEPKUBE_HOME at a larger disk"
    return Failure(what, hint)


def requested(prefix: str) -> list[str]:
    """Return the names of the tasks this run was asked for, with all they depend on.

    Only names that start with `prefix` are returned, in order of definition.
    """
    wanted: set[str] = set()
    queue = list(_selected)
    while queue:
        name = queue.pop()
        if name in wanted or name not in _all:
            continue
        wanted.add(name)
        queue += [*_all[name].task_dep, *_all[name].setup_tasks]
    return [name for name in _all if name in wanted and name.startswith(prefix)]


def selected(name: str) -> bool:
    """Tell whether this run was asked for the task itself, not just for what depends on it."""
    return name in _selected


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """One line a step: state, name, seconds, and what the step has to say about itself."""

    desc = "stepkube's console output"

    def __init__(self, outstream: IO[str], options: Mapping[str, Any]) -> None:
        super().__init__(outstream, options)
        self._started = time.monotonic()
        self._step = self._started
        self._count = {"ok": 0, "cached": 0, "failed": 0}
        self._folds = os.environ.get("GITHUB_ACTIONS") == "true"

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        """Remember what was asked for, so that a step can serve its siblings in one go."""
        super().initialize(tasks, selected_tasks)
        _all.clear()
        _all.update(tasks)
        _selected[:] = selected_tasks

    def execute_task(self, task: Any) -> None:
        """Open the step."""
        _notes.clear()
        self._step = time.monotonic()
        if task.actions and not _quiet(task):
            if self._folds:
                say(f"::group::{task.name}", stream=self.outstream)
            progress(f"{task.name} ...")

    def add_success(self, task: Any) -> None:
        """Close the step with its time and notes."""
        checkpoint()
        if not task.actions:
            return
        self._count["ok"] += 1
        if not _quiet(task) or _notes:
            self._close("ok", task.name)

    def skip_uptodate(self, task: Any) -> None:
        """Count a step that had nothing to do."""
        if task.actions:
            self._count["cached"] += 1

    def add_failure(self, task: Any, fail: BaseFail) -> None:
        """Close the step with its failure; the words follow at the end of the run."""
        if isinstance(fail, UnmetDependency):
            return
        self._count["failed"] += 1
        self._close("FAILED", task.name)
        self.failures.append({"task": task, "exception": fail})
        checkpoint()

    def complete_run(self) -> None:
        """Print every failure, then one line that sums the run up."""
        for result in self.failures:
            fail = result["exception"]
            lines = fail.get_msg().strip() if _traceback_wanted(fail) else fail.message
            self._error(result["task"].name, lines)
        if self.runtime_errors:
            self._error("doit", "".join(self.runtime_errors).strip())
        count = self._count
        if count["failed"] == 0 and all(_answers(_all[name]) for name in _selected):
            return
        say(
            f"{count['ok']} done, {count['cached']} unchanged, {count['failed']} failed"
            f" in {time.monotonic() - self._started:.1f} s",
            stream=self.outstream if count["failed"] == 0 else sys.stderr,
        )

    def _close(self, word: str, name: str) -> None:
        seconds = time.monotonic() - self._step
        text = f"{word:<7} {name:<32} {seconds:6.1f} s  {'; '.join(_notes)}".rstrip()
        say(_colour(word, text, self.outstream), stream=self.outstream)
        if self._folds:
            say("::endgroup::", stream=self.outstream)
        _notes.clear()

    def _error(self, name: str, text: str) -> None:
        if self._folds:
            say(f"::error title={name}::{text.replace(chr(10), '%0A')}", stream=sys.stderr)
        say(f"error: {name}: {text}", stream=sys.stderr)


def checkpoint() -> None:
    """Commit finished tasks now: doit itself writes its database only when the run ends."""
    from doit.globals import Globals  # noqa: PLC0415 - set by doit when a run starts

    backend = Globals.dep_manager.backend if Globals.dep_manager else None
    if backend is None or not hasattr(backend, "_dirty"):
        return
    rows = [(name, backend.codec.encode(backend._cache[name])) for name in backend._dirty]
    backend._conn.executemany("insert or replace into doit values (?, ?)", rows)
    backend._conn.commit()
    backend._dirty.clear()


def _quiet(task: Any) -> bool:
    return bool((task.meta or {}).get("quiet")) or task.name.startswith("_")


def _answers(task: Any) -> bool:
    """Tell whether what a task prints is all that a caller wants to read."""
    return bool((task.meta or {}).get("answer"))


def _traceback_wanted(fail: BaseFail) -> bool:
    return not isinstance(fail, TaskFailed) or bool(os.environ.get("STEPKUBE_DEBUG"))


def _live(out: IO[str]) -> bool:
    return out.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def _clear(out: IO[str]) -> None:
    if _live(out):
        out.write("\r\x1b[K")


def _width() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 100


def _colour(word: str, text: str, out: IO[str]) -> str:
    if not _live(out) or os.environ.get("NO_COLOR"):
        return text
    code = {"ok": "32", "FAILED": "31"}[word]
    return text.replace(word, f"\x1b[{code}m{word}\x1b[0m", 1)
