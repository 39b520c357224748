"""`doit explain` as a user sees it."""

import json
import os
from pathlib import Path

import pytest

from tasks.settings import load as settings
from tasks.system import files
from tests.support import doit as support
from tests.support.doit import Done

DODO = """
import types
from tasks.cli import command_line, reporter
from tasks.explain import tasks
task_explain = types.MethodType(tasks.task_explain, command_line.load_settings())
DOIT_CONFIG = {"reporter": reporter.Reporter, "verbosity": 2, "dep_file": %r}
"""


def doit(home: Path, *words: str, **environ: str) -> Done:
    """Run doit with the tasks of this module alone."""
    dodo = home / "db_dodo.py"
    dodo.write_text(DODO % str(home / "db"))
    return support.doit(home, "run", "-f", str(dodo), *words, **environ)


def check_out(home: Path) -> None:
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    path = settings.load({"STEPKUBE_HOME": str(home)}, {}, Path(os.devnull)).paths.lock
    files.write_json(path, {**lock, "tree": "/", "version": "v1.20.2"})


def test_explain_needs_no_build_and_writes_no_file(tmp_path: Path) -> None:
    check_out(tmp_path)
    before = {path for path in tmp_path.rglob("*") if not path.name.startswith("db")}
    done = doit(tmp_path, "explain:kube-apiserver", LOG_LEVEL="5")
    assert done.returncode == 0, done.stderr
    assert "kube-apiserver of Kubernetes v1.20.2: not built yet" in done.stdout
    assert "run: doit build:kube-apiserver" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  --v=5 ")]
    assert line.endswith("logs.level from the environment (LOG_LEVEL)")
    after = {path for path in tmp_path.rglob("*") if not path.name.startswith("db")}
    assert after == before


@pytest.mark.parametrize("content", [False, True])
def test_output_is_plain_json(tmp_path: Path, content: bool) -> None:
    check_out(tmp_path)
    more = ["--files"] if content else []
    done = doit(tmp_path, "explain:kube-proxy", "--output", "json", *more)
    sections = json.loads(done.stdout)["sections"]
    assert ("file kube-proxy.yaml" in sections) == content
    assert [item["text"] for item in sections["files"]] == [
        f"{tmp_path}/instances/default/config/kube-proxy.yaml"
    ]


def test_without_a_checkout_the_error_names_the_command(tmp_path: Path) -> None:
    done = doit(tmp_path, "explain:etcd")
    assert done.returncode == 1
    assert "doit checkout" in done.stderr
