"""doit reporter: one line per task, failures and a summary at the end; saves finished tasks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import IO, Any

from doit.exceptions import BaseFail, TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter

from tasks.core import console, doit_run


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """One line a step: state, name, seconds, and what the step noted."""

    desc = "stepkube's console output"

    def __init__(self, outstream: IO[str], options: Mapping[str, Any]) -> None:
        super().__init__(outstream, options)
        self._started = time.monotonic()
        self._step = self._started
        self._count = {"ok": 0, "cached": 0, "failed": 0}
        self._only_answers = False
        self._folds = os.environ.get("GITHUB_ACTIONS") == "true"

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        """Note what was asked for, so that a step can serve its siblings in one go."""
        super().initialize(tasks, selected_tasks)
        run = doit_run.current()
        run.dependencies = {
            name: (*task.task_dep, *task.setup_tasks) for name, task in tasks.items()
        }
        run.selected = tuple(selected_tasks)
        selected = [tasks[name] for name in selected_tasks]
        self._only_answers = all(_has(task, "answer") for task in selected)
        if any(_prints_document(task) for task in selected):
            console.reserve_stdout()

    def execute_task(self, task: Any) -> None:
        """Open the step."""
        doit_run.current().notes.clear()
        self._step = time.monotonic()
        if task.actions and not _quiet(task):
            if self._folds:
                console.say(f"::group::{task.name}", stream=self.outstream)
            console.progress(f"{task.name} ...")

    def add_success(self, task: Any) -> None:
        """Close the step with its time and notes."""
        checkpoint()
        if not task.actions:
            return
        self._count["ok"] += 1
        if not _quiet(task) or doit_run.current().notes:
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
        if count["failed"] == 0 and self._only_answers:
            return
        console.say(
            f"{count['ok']} done, {count['cached']} unchanged, {count['failed']} failed"
            f" in {time.monotonic() - self._started:.1f} s",
            stream=self.outstream if count["failed"] == 0 else sys.stderr,
        )

    def _close(self, word: str, name: str) -> None:
        seconds = time.monotonic() - self._step
        notes = doit_run.current().notes
        text = f"{word:<7} {name:<32} {seconds:6.1f} s  {'; '.join(notes)}".rstrip()
        console.say(_colour(word, text, self.outstream), stream=self.outstream)
        if self._folds:
            console.say("::endgroup::", stream=self.outstream)
        notes.clear()

    def _error(self, name: str, text: str) -> None:
        if self._folds:
            console.say(f"::error title={name}::{text.replace(chr(10), '%0A')}", stream=sys.stderr)
        console.say(f"error: {name}: {text}", stream=sys.stderr)


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
    return _has(task, "quiet") or task.name.startswith("_")


def _has(task: Any, word: str) -> bool:
    return bool((task.meta or {}).get(word))


def _prints_document(task: Any) -> bool:
    return _has(task, "document") and (task.options or {}).get("output") == "json"


def _traceback_wanted(fail: BaseFail) -> bool:
    return not isinstance(fail, TaskFailed) or bool(os.environ.get("STEPKUBE_DEBUG"))


def _colour(word: str, text: str, out: IO[str]) -> str:
    if not console.live(out) or os.environ.get("NO_COLOR"):
        return text
    code = {"ok": "32", "FAILED": "31"}[word]
    return text.replace(word, f"\x1b[{code}m{word}\x1b[0m", 1)
