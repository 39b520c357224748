"""Tasks kubectl and env, as a user's shell sees them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings import load
from tasks.settings.load import ROOT, Settings
from tasks.system import files
from tests.support.doit import doit

STANDIN = """#!/bin/sh
printf '%s\\0' "$PWD" "$KUBECONFIG" "$@" >"$SEEN"
test "$1" = exec && cat
exit 7
"""
ARGUMENTS = ("get", "-A", "-n", "a b", "-l", "app=x,y!=z", "-o", "json", "--", "-x", "--help", "$h")
NAMES = ["plain", "a blank", "it's", '"', "$(touch ran)", "`touch ran`;x", "ä", "b\\"]


def workspace(home: Path) -> Settings:
    """Return the settings of a workspace with a stand-in for kubectl, and two tools."""
    made = load.load({"STEPKUBE_HOME": str(home)})
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    files.write_json(made.paths.lock, {**lock, "tree": "/", "version": "v1.30.0"})
    for program in ("kubectl", "tools/dlv", "tools/etcd", "tools/etcdctl"):
        files.write(home / program, STANDIN, 0o755)
    record = {"module": "kubectl", "path": str(home / "kubectl"), "digest": "", "go": ""}
    files.write_json(made.paths.built("kubectl"), {**record, "version": "v1.30.0"})
    for tool, program in (("delve", "dlv"), ("etcd", "etcd")):
        path = str(home / "tools" / program)
        files.write_json(made.paths.tool(tool), {"version": "1.0.0", "bin": path, "from": ""})
    return made


def run(home: Path, folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run doit in a process of its own, with text on stdin."""
    env = {**os.environ, "STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull}
    env["SEEN"] = str(folder / "seen")
    argv = [sys.executable, "-m", "doit", *words]
    return subprocess.run(
        argv, cwd=ROOT, env=env, input=stdin, capture_output=True, text=True, check=False
    )


def test_kubectl_gets_all_arguments_and_stdin_and_gives_its_exit_code(tmp_path: Path) -> None:
    made = workspace(tmp_path / "home")
    done = run(made.paths.home, tmp_path, "kubectl", *ARGUMENTS)
    assert done.returncode == 7, done.stderr
    seen = (tmp_path / "seen").read_text().split("\0")[:-1]
    assert seen == [str(ROOT), str(made.paths.kubeconfig("admin")), *ARGUMENTS]
    done = run(made.paths.home, tmp_path, "kubectl", "exec", "-i", stdin="typed")
    assert (done.returncode, done.stdout) == (7, "typed")


def test_settings_before_kubectl_are_those_of_stepkube(tmp_path: Path) -> None:
    workspace(tmp_path)
    done = doit(tmp_path, "instance=other", "kubectl", "get", "version=x")
    assert done.returncode == 1 and "doit build:kubectl" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
@pytest.mark.parametrize("name", NAMES)
def test_a_shell_evaluates_the_environment(tmp_path: Path, shell: str, name: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    made = workspace(tmp_path / name)
    done = doit(made.paths.home, "env", "--shell", shell)
    assert done.returncode == 0, done.stderr
    lines = tmp_path / "lines"
    lines.write_text(done.stdout)
    read = "source $argv[1]" if shell == "fish" else 'eval "$(cat "$1")"'
    script = f'{read}; printf "%s\\0" "$KUBECONFIG"; command -v dlv; command -v etcdctl'
    words = [program, "-c", script, *([] if shell == "fish" else ["-"]), str(lines)]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    shown = subprocess.run(
        words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    ).stdout
    kubeconfig, _, programs = shown.partition("\0")
    assert kubeconfig == str(made.paths.kubeconfig("admin"))
    assert programs.startswith(f"{made.paths.instance / 'bin' / 'dlv'}\n")
    assert str(made.paths.instance / "bin" / "etcdctl") in programs
    assert not (tmp_path / "ran").exists()


def test_the_environment_as_json(tmp_path: Path) -> None:
    made = workspace(tmp_path)
    answer = json.loads(doit(tmp_path, "env", "-o", "json").stdout)
    assert answer["variables"]["KUBECONFIG"] == str(made.paths.kubeconfig("admin"))
    assert answer["path"] == str(made.paths.instance / "bin")
