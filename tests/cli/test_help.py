"""Help and the task list: what a user reads, the exit code, and the names for a wrong one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.cli import help_command, program
from tasks.settings.load import ROOT
from tests.support.doit import Done, doit


def run_program(home: Path, *words: str) -> Done:
    """Run the program `doit` of this project, as pip installs it."""
    code = "import sys; from tasks.cli.program import main; sys.exit(main())"
    env = {**os.environ, "STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"]])
def test_help_without_a_task_shows_the_tasks_in_groups(tmp_path: Path, words: list[str]) -> None:
    done = run_program(tmp_path, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: doit ")
    assert "\neveryday:\n  up " in done.stdout and "doit debug:kube-apiserver" in done.stdout


@pytest.mark.parametrize("words", [["list", "--help"], ["help", "list"], ["clean", "-h"]])
def test_help_of_a_command_of_doit(tmp_path: Path, words: list[str]) -> None:
    done = run_program(tmp_path, *words)
    assert (done.returncode, done.stderr) == (0, "") and "OPTIONS" in done.stdout


def test_a_wrong_option_without_a_task_shows_no_python_objects(tmp_path: Path) -> None:
    done = run_program(tmp_path, "--contineu")
    assert done.returncode == 3
    assert "did you mean --continue?" in done.stderr and "CmdOption" not in done.stderr


@pytest.mark.parametrize("words", [["help", "up"], ["up", "--help"], ["run", "up", "-h"]])
def test_help_of_a_task_shows_options_examples_and_related_tasks(
    tmp_path: Path, words: list[str]
) -> None:
    done = doit(tmp_path, *words)
    assert (
        done.stdout
        == run_program(tmp_path, *words).stdout
        == run_program(tmp_path, "-h", "up").stdout
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: doit up [OPTIONS]")
    assert "-o, --output OUTPUT" in done.stdout and "\n  doit up version=" in done.stdout
    assert "docs/modes.md" in done.stdout
    assert not (tmp_path / "instances").exists(), "help makes no instance"


def test_help_shows_the_values_and_the_default_of_an_option(tmp_path: Path) -> None:
    text = " ".join(doit(tmp_path, "debug:kubelet", "--help").stdout.split())
    assert "--mode MODE" in text and "(default: attach)" in text and "exec restart it" in text


def test_help_of_a_group_names_its_tasks_and_options(tmp_path: Path) -> None:
    text = doit(tmp_path, "help", "debug").stdout
    assert "debug:cloud-controller-manager" in text and "--stop-at-entry" in text


def test_every_task_has_a_help(tmp_path: Path) -> None:
    names = [line.split()[0] for line in doit(tmp_path, "list", "--all").stdout.splitlines()]
    for name in names:
        done = doit(tmp_path, "help", name)
        assert (done.returncode, done.stderr) == (0, ""), name
        assert done.stdout.startswith(f"usage: doit {name}"), name


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["help", "debgu"], "debug"),
        (["help", "debug:kubelte"], "debug:kubelet"),
        (["statsu", "--help"], "status"),
    ],
)
def test_help_of_an_unknown_task_names_the_nearest(
    tmp_path: Path, words: list[str], near: str
) -> None:
    done = doit(tmp_path, *words)
    assert done.returncode == 3 and done.stdout == ""
    assert near in done.stderr.partition("fix: ")[2]


def test_help_needs_no_valid_settings(tmp_path: Path) -> None:
    assert doit(tmp_path, "help", "up", START_MODE="half").returncode == 0


def test_the_list_has_groups_and_leaves_internal_tasks_to_all(tmp_path: Path) -> None:
    lines = doit(tmp_path, "list").stdout.splitlines()
    assert lines[0] == "everyday:" and "debug:" in lines and "host:" in lines
    shown = [line.split()[0] for line in lines if line.startswith("  ")]
    assert "up" in shown and "sources" not in shown and "_cluster-runs" not in shown
    assert "sources" in doit(tmp_path, "list", "--all").stdout
    everything = doit(tmp_path, "list", "-q").stdout.split()
    named = {*shown, *lines[-1].partition(": ")[2].split(", ")}
    assert {name for name in everything if ":" not in name} == named, "no task is lost"


def test_words_after_two_dashes_belong_to_another_program() -> None:
    assert help_command.requested(["kubectl", "--", "get", "--help"]) is None
    assert program.arguments(["kubectl", "--", "-h"]) == ["kubectl", "--", "-h"]
