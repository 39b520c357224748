"""What tasks/cli expects of doit: one test per seam, to show at once what a new doit changed."""

import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from doit import doit_cmd
from doit.cmd_base import ModuleTaskLoader
from doit.cmdparse import CmdParseError
from doit.doit_cmd import DoitMain
from doit.exceptions import InvalidCommand

from tasks.cli import command_line, entry, task_names, timeline_file
from tasks.cli.task import DOCUMENT, Check, action, config_changed, option
from tasks.core import console, doit_run
from tasks.core.errors import Failure
from tasks.settings import load
from tasks.settings.load import ROOT, Settings
from tests.support import traces

Task = dict[str, Any]


@dataclass
class Doit:
    """Runs doit in this process with tasks of the test, as dodo.py does with the pipeline."""

    settings: Settings
    capsys: pytest.CaptureFixture[str]
    tasks: list[Task] = field(default_factory=list)
    out: str = ""
    err: str = ""

    def add(self, name: str, *actions: Any, **more: Any) -> None:
        self.tasks.append({"basename": name, "actions": list(actions), "doc": name, **more})

    def __call__(self, *words: str) -> int:
        def task_all(_: Settings) -> Iterator[Task]:
            yield from self.tasks

        pipeline = {"all": (task_all,)}
        out = io.StringIO()
        config = {**entry.configuration(self.settings, pipeline), "outfile": out}
        loader = ModuleTaskLoader(
            {
                "DOIT_CONFIG": config,
                "task_pipeline": lambda: entry.tasks(self.settings, pipeline),
            }
        )
        code = DoitMain(loader, config_filenames=()).run(list(words)) or 0
        printed = self.capsys.readouterr()
        self.out, self.err = out.getvalue() + printed.out, printed.err
        return int(code)


@pytest.fixture
def doit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Doit:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    for kind in (InvalidCommand, CmdParseError):
        monkeypatch.setattr(kind, "__str__", kind.__str__)  # put back what entry replaces
    settings = load.load({"STEPKUBE_HOME": str(tmp_path / "home")}, {}, Path(os.devnull))
    settings.paths.instance.mkdir(parents=True)
    return Doit(settings, capsys)


@action
def fail() -> None:
    raise Failure("this failed", "that helps")


def adding(seen: list[str]) -> Callable[[str], None]:
    """Return an action that adds a word; doit takes no built-in function."""

    def add(word: str) -> None:
        seen.append(word)

    return add


def saying(text: str) -> tuple[Callable[[str], None], list[str]]:
    return (console.note, [text])


def test_reporter(doit: Doit) -> None:
    doit.add("good", saying("a note"))
    doit.add("kept", saying("never"), uptodate=[True])
    doit.add("quiet", (lambda: None,), meta={"quiet": True})
    doit.add("bad", (fail,))
    doit.add("after", saying("never"), task_dep=["bad"])
    seam = "doit calls its reporter in another way: see Reporter in tasks/cli/reporter.py"
    assert doit("run", "good", "kept", "quiet", "bad", "after") == 1, seam
    lines = [" ".join(line.split()) for line in doit.out.splitlines()]
    assert [line.partition("0.0 s")[::2] for line in lines] == [
        ("ok good ", " a note"),
        ("FAILED bad ", ""),
    ], seam
    summary = "2 done, 1 unchanged, 1 failed"
    assert f"error: bad: this failed\n  fix: that helps\n{summary}" in doit.err, seam


def test_answers_have_no_summary(doit: Doit) -> None:
    doit.add("answer", (console.say, ["42"]), meta={"quiet": True, "answer": True})
    assert doit("answer") == 0
    assert doit.out == "42\n", (
        "doit no longer hands a task's `meta` to the reporter: see tasks/cli/reporter.py"
    )


def test_a_quiet_run_that_changed_nothing_has_no_summary(doit: Doit) -> None:
    doit.add("kept", saying("never"), uptodate=[True])
    doit.add("look", (lambda: None,), meta={"quiet": True})
    doit.add("quiet", (console.say, ["42"]), meta={"quiet": True}, task_dep=["kept", "look"])
    assert doit("quiet") == 0
    assert doit.out == "42\n"


def test_names_and_order(doit: Doit) -> None:
    for name in ("zebra", "ant", "mole"):
        doit.add(name, (fail,))
    assert doit("list") == 0
    assert [line.split()[0] for line in doit.out.splitlines()] == ["zebra", "ant", "mole"], (
        "doit lists tasks in another order: see `sort` in tasks/cli/entry.py"
    )


def test_a_creator_names_its_tasks(doit: Doit) -> None:
    def task_stage(_: Settings) -> Iterator[Task]:
        yield {"name": None, "doc": "a group"}
        yield {"name": "one", "actions": None}

    made = task_names.tasks(doit.settings, {"stage": (task_stage,)})
    assert [task["basename"] for task in made] == ["stage", "stage"]
    assert task_names.names(doit.settings, {"stage": (task_stage,)}) == ["stage", "stage:one"]


def test_configuration(doit: Doit) -> None:
    ran: list[str] = []
    doit.add("up", (adding(ran), ["up"]))
    seam = "doit reads DOIT_CONFIG in another way: see configuration() in tasks/cli/entry.py"
    assert doit() == 0 and ran == ["up"], seam
    assert (doit.settings.paths.instance / "doit.sqlite").is_file(), seam
    doit("forget")
    assert "no tasks specified" in doit.out.lower(), seam


def test_unknown_task(doit: Doit) -> None:
    doit.add("status", (fail,))
    assert doit("statsu") == 3
    assert "no task named statsu\n  fix: did you mean status?" in doit.err, (
        "doit reports an unknown task in another way: see install() in tasks/cli/task_names.py"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--wide"], r"option --wide .*\n  fix: .*--width\?.* --width, --mode, --colour\n"),
        (["--zzz"], r"option --zzz .*\n  fix: .*--width, --mode, --colour\n"),
        (["--help"], r"option --help .*\n  fix: run: doit help"),
        (["--width", "x"], r"option --width: .* whole number\n  fix: .*--width=1\n"),
        (["--colour", "x"], r"option --colour: x .*\n  fix: .* red, blue\n"),
    ],
)
def test_wrong_option(doit: Doit, words: list[str], expected: str) -> None:
    colour = option("colour", "", "red", choices=(("red", ""), ("blue", "")))
    params = [option("width", "", 1), option("mode", "", "a"), colour]
    doit.add("draw", (fail,), params=params)
    assert doit("draw", *words) == 3
    assert re.search(expected, doit.err), (
        "doit words its option errors in another way: see wrong_option() in tasks/cli/task_names.py"
    )


def test_command_line_words(doit: Doit, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look() -> None:
        monkeypatch.setattr(sys, "argv", ["doit", "look", "version=v1.20.2"])
        seen.append(command_line.load_settings().version)

    doit.add("look", (look,))
    seam = "doit keeps key=value words in another place: see tasks/cli/command_line.py"
    assert doit("look", "version=v1.20.2") == 0, seam
    assert seen == ["v1.20.2"] and doit_cmd._CMDLINE_VARS == {"version": "v1.20.2"}, seam


def test_options_of_up(doit: Doit) -> None:
    words = ["up", "-o", "folder", "--bundle=x.gz"]
    seen: list[Task] = []
    doit.add("up", lambda **named: seen.append(named), params=list(command_line.UP_OPTIONS))
    assert command_line.settings_from_up_options(words) == {
        "build.output": "folder",
        "origin.bundle": "x.gz",
    }, "doit parses options in another way: see tasks/cli/command_line.py"
    assert doit(*words) == 0


def test_an_interrupted_run_writes_its_timeline(doit: Doit, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    timeline_file.record(load.load({}, {"logs.timeline": str(file)}, Path(os.devnull)))
    doit.add("works", (lambda: None,))
    doit.add("stops", (lambda: sys.exit(130),), task_dep=["works"])
    with pytest.raises(SystemExit):
        doit("stops")
    names = {event["name"] for event in traces.check(json.loads(file.read_text()))}
    assert "works" in names, "doit ends a run in another way: see tasks/cli/reporter.py"


def test_start_folder_and_words_before_dodo(tmp_path: Path) -> None:
    """Both are known when dodo.py is read, and doit works in the folder of dodo.py."""
    (tmp_path / "dodo.py").write_text(
        "import os\n"
        "from doit import doit_cmd\n"
        "from tasks.cli import command_line\n"
        "print(command_line.start_folder(), os.getcwd(), doit_cmd._CMDLINE_VARS)\n"
    )
    below = tmp_path / "below"
    below.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "doit", "list", "-f", "../dodo.py", "-d", "..", "a=b"],
        cwd=below,
        env={**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[:1] == [f"{below} {tmp_path} {{'a': 'b'}}"], (
        f"doit reads dodo.py at another moment: see tasks/cli/command_line.py\n{done.stderr}"
    )


def test_finished_tasks_are_saved_at_once(doit: Doit) -> None:
    saved: list[str] = []

    def look() -> None:
        with sqlite3.connect(doit.settings.paths.instance / "doit.sqlite") as database:
            saved.extend(row[0] for row in database.execute("select task_id from doit"))

    doit.add("first", (lambda: None,), uptodate=[config_changed({"a": "b"})])
    doit.add("second", (look,), task_dep=["first"])
    assert doit("second") == 0
    assert saved == ["first"], (
        "doit keeps its state in another way: see checkpoint() in tasks/cli/reporter.py"
    )


@pytest.mark.parametrize("error", [Failure("what", "how"), OSError(2, "not there", "/a/file")])
def test_action(doit: Doit, error: Exception) -> None:
    @action
    def fails() -> None:
        raise error

    doit.add("task", (fails,))
    assert doit("task") == 1
    assert ("what" if isinstance(error, Failure) else "/a/file: not there") in doit.err
    assert "  fix: " in doit.err and "Traceback" not in doit.err, (
        "doit no longer takes a returned TaskFailed: see action() in tasks/cli/task.py"
    )


def test_up_to_date_checks(doit: Doit) -> None:
    ran: list[str] = []
    holds = {"so": True}
    config = {"key": "value"}
    check = Check("it is so", lambda key: holds[key], ("so",))

    def again() -> int:
        doit.tasks.clear()
        ran.clear()
        checks = [config_changed(dict(config)), check]
        doit.add("task", (adding(ran), ["ran"]), uptodate=checks)
        assert doit("task") == 0
        return len(ran)

    seam = "doit calls `uptodate` in another way: see Check and config_changed"
    assert (again(), again()) == (1, 0), seam
    config["key"] = "other"
    assert (again(), again()) == (1, 0), seam
    holds["so"] = False
    assert again() == 1, seam
    assert doit("info", "task") == 1 and "it is so" in doit.out, seam
    del holds["so"]
    assert again() == 1, f"{seam}: a check that breaks means not up to date"


def test_selection_and_dependencies(doit: Doit, tmp_path: Path) -> None:
    found: list[list[str]] = []

    def look() -> None:
        run = doit_run.current()
        found.append(run.selected_with_dependencies(""))
        assert run.is_selected("last") and not run.is_selected("first")

    def write(targets: list[str]) -> None:
        Path(targets[0]).write_text("")

    target = str(tmp_path / "file")
    doit.add("first", (write,), targets=[target])
    doit.add("other", (fail,))
    doit.tasks.append({"basename": "group", "name": "one", "actions": [(look,)]})
    doit.add("prepare", (lambda: None,))
    doit.add("last", (lambda: None,), file_dep=[target], task_dep=["group"], setup=["prepare"])
    assert doit("last") == 0
    assert found == [["first", "group", "group:one", "prepare", "last"]], (
        "doit describes tasks in another way: see initialize() in tasks/cli/reporter.py"
    )


def test_stdout_is_reserved_before_any_task(doit: Doit, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(console, "reserve_stdout", lambda: order.append("reserved"))
    output = option("output", "", "text", choices=(("text", ""), ("json", "")))

    def ask(output: str) -> None:
        order.append(output)

    doit.add("noise", (adding(order), ["noise"]))
    doit.add(
        "ask",
        ask,
        params=[output],
        meta=DOCUMENT,
        task_dep=["noise"],
    )
    assert doit("ask", "--output", "json") == 0
    assert order == ["reserved", "noise", "json"], (
        "doit parses the options of a task later: see initialize() in tasks/cli/reporter.py"
    )
    order.clear()
    assert doit("ask") == 0
    assert order == ["noise", "text"]


def test_options(doit: Doit) -> None:
    seen: list[tuple[Any, ...]] = []
    doit.add(
        "task",
        lambda some_flag, number, word, other: seen.append((some_flag, number, word, other)),
        params=[
            option("some-flag", "a flag"),
            option("number", "a number", 1.5, short="n"),
            option("word", "a word", "a", choices=(("a", "first"), ("b", "second"))),
            option("named", "of another name", "", name="other"),
        ],
    )
    assert doit("task") == 0
    assert doit("task", "--some-flag", "-n", "2", "--word=b", "--named", "x") == 0
    assert seen == [(False, 1.5, "a", ""), (True, 2.0, "b", "x")], (
        "doit describes options in another way: see option() in tasks/cli/task.py"
    )
    assert doit("task", "--word=c") == 3


def test_clean_tells_an_action_of_a_dry_run(doit: Doit) -> None:
    seen: list[bool] = []

    def undo(dryrun: bool) -> None:
        seen.append(dryrun)

    doit.add("task", (lambda: None,), clean=[undo])
    assert doit("clean", "-n", "task") == 0
    assert doit("clean", "task") == 0
    assert seen == [True, False], "doit clean passes no `dryrun`: see tasks/host/tasks.py"


@pytest.mark.parametrize("content", [b"", b"no database", b"[]", b"cut"])
def test_a_damaged_database_is_made_again(doit: Doit, content: bytes) -> None:
    seen: list[str] = []
    doit.add("task", (adding(seen), ["ran"]), uptodate=[config_changed({"a": 1})])
    database = doit.settings.paths.instance / "doit.sqlite"
    assert doit("task") == doit("task") == 0
    assert seen == ["ran"]
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2] if content == b"cut" else content)
    assert doit("list") == 0
    assert doit("task") == doit("task") == 0
    assert seen == ["ran", "ran"]


def test_a_damaged_row_of_the_database_counts_as_a_task_that_never_ran(doit: Doit) -> None:
    seen: list[str] = []
    doit.add("task", (adding(seen), ["ran"]), uptodate=[config_changed({"a": 1})])
    for data in ("{", "[]", "3", ""):
        assert doit("task") == 0
        with sqlite3.connect(doit.settings.paths.instance / "doit.sqlite") as database:
            database.execute("update doit set task_data = ?", (data,))
        database.close()
    assert doit("task") == doit("task") == 0
    assert seen == ["ran"] * 5


def test_a_database_that_cannot_be_opened_or_written_stops_no_task(doit: Doit) -> None:
    seen: list[str] = []
    doit.add("task", (adding(seen), ["ran"]), uptodate=[config_changed({"a": 1})])
    database = doit.settings.paths.instance / "doit.sqlite"
    database.mkdir()
    assert doit("task") == 0
    assert str(database) in doit.err
    database.rmdir()
    assert doit("task") == 0
    assert seen == ["ran"] * 2

    def damage() -> None:
        database.write_bytes(b"no database" * 1000)

    doit.add("other", (damage,))
    doit.add("last", (adding(seen), ["last"]))
    assert doit("other", "last") == 0
    assert seen[-1] == "last"
