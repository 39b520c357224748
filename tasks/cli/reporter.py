"""doit reporter: one line per task, failures and a summary at the end; saves finished tasks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import IO, Any

from doit.exceptions import BaseFail, TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter

from tasks.cli import database, timeline_file
from tasks.cli.report import Report
from tasks.core import console, doit_run, timeline


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """Prints one line per task: result, name, seconds and notes."""

    desc = "stepkube's console output"

    def __init__(self, outstream: IO[str], options: Mapping[str, Any]) -> None:
        super().__init__(outstream, options)
        self._started = time.monotonic()
        self._task_started = self._started
        self._count = {"ok": 0, "cached": 0, "failed": 0}
        self._checked = ("", 0.0)
        self._executed = timeline.now()
        self._only_answers = False
        self._report = Report()
        self._only_quiet = False
        self._folds = os.environ.get("GITHUB_ACTIONS") == "true"

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        """Store all tasks and the selected ones: a task can do the work of selected siblings."""
        super().initialize(tasks, selected_tasks)
        run = doit_run.current()
        run.dependencies = {
            name: (*task.task_dep, *task.setup_tasks) for name, task in tasks.items()
        }
        run.selected = tuple(selected_tasks)
        run.options = {name: dict(tasks[name].options or {}) for name in selected_tasks}
        timeline_file.add_start_up()
        selected = [tasks[name] for name in selected_tasks]
        self._only_answers = all(_has(task, "answer") for task in selected)
        self._only_quiet = all(_quiet(task) for task in selected)
        if any(_prints_document(task) for task in selected):
            console.reserve_stdout()

    def get_status(self, task: Any) -> None:
        """Start the time of the checks whether a task is up to date."""
        self._checked = (task.name, timeline.now())

    def _add_check(self, task: Any) -> None:
        name, start = self._checked
        if name == task.name:
            timeline.add(f"{name}: up to date?", "check", start, timeline.now())

    def execute_task(self, task: Any) -> None:
        """Start the time of a task and print its name as progress."""
        self._add_check(task)
        self._executed = timeline.now()
        doit_run.current().notes.clear()
        self._task_started = time.monotonic()
        if task.actions and not _quiet(task):
            if self._folds:
                console.say(f"::group::{task.name}", stream=self.outstream)
            console.progress(f"{task.name} ...")

    def add_success(self, task: Any) -> None:
        """Save a finished task and print its line."""
        checkpoint()
        if not task.actions:
            return
        timeline.add(task.name, "task", self._executed, timeline.now())
        self._count["ok"] += 1
        if not _quiet(task) or doit_run.current().notes:
            doit_run.current().changed = True
            self._print_line("ok", task.name)

    def skip_uptodate(self, task: Any) -> None:
        """Count a task that is up to date."""
        self._add_check(task)
        if task.actions:
            self._count["cached"] += 1

    def add_failure(self, task: Any, fail: BaseFail) -> None:
        """Print the line of a failed task; `complete_run` prints its error."""
        if isinstance(fail, UnmetDependency):
            return
        self._count["failed"] += 1
        timeline.add(task.name, "task", self._executed, timeline.now(), result="failed")
        self._print_line("FAILED", task.name)
        self.failures.append({"task": task, "exception": fail})
        self._report.fail(fail.message)
        checkpoint()

    def complete_run(self) -> None:
        """Write timeline and report, print every failure, then a summary line."""
        timeline_file.write()
        self._report.write()
        for result in self.failures:
            fail = result["exception"]
            text = fail.get_msg().strip() if _needs_traceback(fail) else fail.message
            self._error(result["task"].name.lstrip("_"), text)
        if self.runtime_errors:
            self._error("doit", "".join(self.runtime_errors).strip())
        count = self._count
        run = doit_run.current()
        if count["failed"] == 0 and (self._only_answers or (self._only_quiet and not run.changed)):
            return
        console.say(
            f"{count['ok']} done, {count['cached']} unchanged, {count['failed']} failed"
            f" in {time.monotonic() - self._started:.1f} s",
            stream=self.outstream if count["failed"] == 0 else sys.stderr,
        )

    def _print_line(self, result: str, name: str) -> None:
        seconds = time.monotonic() - self._task_started
        notes = doit_run.current().notes
        self._report.add(name, result, notes)
        text = f"{result:<7} {name.lstrip('_'):<32} {seconds:6.1f} s  {'; '.join(notes)}".rstrip()
        console.say(_colour(result, text, self.outstream), stream=self.outstream)
        if self._folds:
            console.say("::endgroup::", stream=self.outstream)
        notes.clear()

    def _error(self, name: str, text: str) -> None:
        if self._folds:
            console.say(f"::error title={name}::{text.replace(chr(10), '%0A')}", stream=sys.stderr)
        console.say(f"error: {name}: {text}", stream=sys.stderr)


def checkpoint() -> None:
    """Save finished tasks in doit's database now: doit saves them only at the end of the run."""
    from doit.globals import Globals  # noqa: PLC0415 - set by doit when a run starts

    backend = Globals.dep_manager.backend if Globals.dep_manager else None
    if backend is None or not getattr(backend, "_dirty", None):
        return
    rows = [(name, backend.codec.encode(backend._cache[name])) for name in backend._dirty]
    backend._conn.executemany(database.SAVE, rows)
    backend._conn.commit()
    backend._dirty.clear()


def _quiet(task: Any) -> bool:
    return _has(task, "quiet") or task.name.startswith("_")


def _has(task: Any, flag: str) -> bool:
    return bool((task.meta or {}).get(flag))


def _prints_document(task: Any) -> bool:
    return _has(task, "document") and (task.options or {}).get("output") == "json"


def _needs_traceback(fail: BaseFail) -> bool:
    return not isinstance(fail, TaskFailed) or bool(os.environ.get("STEPKUBE_DEBUG"))


def _colour(result: str, text: str, out: IO[str]) -> str:
    if not console.live(out) or os.environ.get("NO_COLOR"):
        return text
    code = {"ok": "32", "FAILED": "31"}[result]
    return text.replace(result, f"\x1b[{code}m{result}\x1b[0m", 1)
