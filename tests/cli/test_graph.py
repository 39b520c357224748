"""The task graph as doit sees it, and the words doit prints, without running anything real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.cli import task_names
from tasks.settings.load import ROOT
from tests.support.doit import doit


def test_the_list_is_the_pipeline_in_order(tmp_path: Path) -> None:
    listing = doit(tmp_path, "list", "--sort=definition").stdout.splitlines()
    names = [name for line in listing if ":" not in (name := line.split()[0])]
    stages = [
        "downloads",
        "checkout",
        "toolchain",
        "generated",
        "sources",
        "build",
        "certs",
        "start",
    ]
    assert [name for name in names if name in stages] == stages
    assert names[:5] == ["up", "down", "status", "debug", "undebug"]
    assert all(len(line.split(None, 1)) == 2 for line in listing), "every task says what it does"


@pytest.mark.parametrize("words", [["list", "--all"], ["config"], ["info", "up"], ["explain:etcd"]])
def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path, words: list[str]) -> None:
    env = {**os.environ, "STEPKUBE_HOME": str(tmp_path), "STEPKUBE_CONFIG": os.devnull}
    with subprocess.Popen(
        [sys.executable, "-m", "doit", *words],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as asked:
        assert asked.stdout is not None and asked.stderr is not None
        asked.stdout.close()
        said = asked.stderr.read()
    assert "Traceback" not in said and "BrokenPipe" not in said


def test_up_never_leads_to_a_task_that_changes_the_host(tmp_path: Path) -> None:
    """Follow every dependency of every task but those of the host."""
    program = (
        "import dodo\n"
        "for task in dodo.task_pipeline():\n"
        "    for key in ('task_dep', 'setup', 'calc_dep'):\n"
        "        fields = task if isinstance(task, dict) else vars(task)\n"
        "        for one in fields.get(key) or (): print(one)\n"
    )
    env = {**os.environ, "STEPKUBE_HOME": str(tmp_path), "STEPKUBE_CONFIG": os.devnull}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    needed = set(done.stdout.split())
    assert "downloads" in needed and "start:etcd" in needed
    assert not needed & {"mirror", "packages", "firewall"}


def test_every_sub_task_is_documented(tmp_path: Path) -> None:
    for line in doit(tmp_path, "list", "--all").stdout.splitlines():
        assert len(line.split(None, 1)) == 2, line


def test_info_explains_why_a_build_would_run(tmp_path: Path) -> None:
    said = doit(tmp_path, "info", "build:kubelet").stdout
    assert "the recorded binary of kubelet exists" in said
    assert "kubelet.sources" in said
    assert "sources:kubelet" in said


def test_help_shows_the_options_of_one_component(tmp_path: Path) -> None:
    said = doit(tmp_path, "help", "debug:kubelet").stdout
    assert "--mode" in said and "exec" in said and "--stop-at-entry" in said


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("build:kubelt", "build:kubelet"),
        ("debug:apiserver", "debug:kube-apiserver"),
        ("undebug:scheduler", "undebug:kube-scheduler"),
        ("statsu", "status"),
    ],
)
def test_an_unknown_task_suggests_the_right_one(tmp_path: Path, wrong: str, right: str) -> None:
    done = doit(tmp_path, wrong)
    assert done.returncode == 3
    message, _, fix = done.stderr.partition("\n  fix: ")
    assert f" {wrong}" in message
    assert right in fix
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "environ", "expected"),
    [
        (["list"], {"START_MODE": "half"}, "START_MODE"),
        (["list"], {"STEPKUBE_CONFIG": "/no/such/file"}, "/no/such/file does not exist"),
        (["list", "versoin=v1.20.2"], {}, "did you mean version?"),
        (["list"], {"API_HOST_IP": "not-an-ip"}, "API_HOST_IP"),
    ],
)
def test_bad_settings_end_every_command_in_words(
    tmp_path: Path, words: list[str], environ: dict[str, str], expected: str
) -> None:
    done = doit(tmp_path, *words, **environ)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_workspace_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = doit(tmp_path, "list", STEPKUBE_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr and "STEPKUBE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_mirror_names_its_variable(tmp_path: Path) -> None:
    done = doit(tmp_path, "downloads", GOPROXY="proxy.example.org")
    assert done.returncode == 1
    assert "the environment (GOPROXY)" in done.stderr
    assert "Traceback" not in done.stderr


def test_debugging_what_does_not_run_says_what_to_do_first(tmp_path: Path) -> None:
    done = doit(tmp_path, "undebug:kubelet")
    assert done.returncode == 0
    assert "is not in the debugger" in done.stdout


def test_down_and_status_work_on_an_empty_workspace(tmp_path: Path) -> None:
    assert "nothing was running" in doit(tmp_path, "down").stdout
    done = doit(tmp_path, "status")
    assert done.returncode == 0
    assert "kube-apiserver" in done.stdout and "stopped" in done.stdout


def test_status_as_json_is_nothing_but_json(tmp_path: Path) -> None:
    rows = json.loads(doit(tmp_path, "status", "--output", "json").stdout)
    assert {row["name"]: row["mode"] for row in rows}["kube-apiserver"] == "stopped"


def test_nearest_prefers_the_same_verb() -> None:
    known = ["build:kubelet", "debug:kubelet", "debug:kube-proxy"]
    assert task_names.nearest("debug:kubelte", known)[0] == "debug:kubelet"
    assert task_names.nearest("debug:proxy", known) == ["debug:kube-proxy"]
    assert task_names.nearest("xyzzy", known) == []


def test_a_wrong_option_names_those_there_are() -> None:
    option = "CmdOption({'name':'output', 'short':'o','long':'output' })"
    printed = f"option -x not recognized (parsing options: [{option}]). Got: ['-x']"
    message, _, fix = task_names.wrong_option(f"Error parsing Task: {printed}").partition("fix:")
    assert "-x" in message and "parsing" not in message and fix.endswith(": --output")
    message, _, fix = task_names.wrong_option(
        "Error parsing Task: option -x not recognized (parsing options: []). Got: ['-x']"
    ).partition("fix:")
    assert "-x" in message and "parsing" not in message and fix and "--" not in fix
    message = task_names.wrong_option(
        "Error parsing parameter 'port' <class 'int'>.\ninvalid literal for int()\n"
    )
    assert "--port" in message and "whole number" in message and "int" not in message


def test_no_object_of_doit_is_in_what_a_wrong_option_says(tmp_path: Path) -> None:
    done = doit(tmp_path, "up", "--outptu", "x")
    assert done.returncode == 3
    assert "--output, --guess, --bundle" in done.stderr
    assert "CmdOption" not in done.stderr
