"""The commands with which an editor puts a component under Delve, run as each editor runs them."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tasks.editors import commands, naming
from tasks.settings import load
from tasks.settings.load import Settings
from tests.support.launches import (
    NAMING,
    PORTS,
    clean,
    contents,
    launch,
    with_checkout,
    write,
)

ODD = 'it\'s "odd" $HOME; `x`'
FAKE = """#!/bin/sh
{ pwd; printf '%s\\n' "$STEPKUBE_HOME" "$STEPKUBE_INSTANCE" "$@"; } > "$(dirname "$0")/called"
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program in the place of Python, in a folder with an odd name, next to dodo.py."""
    folder = tmp_path / ODD
    folder.mkdir()
    program = folder / "python"
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(commands, "ROOT", folder)
    return folder


def call(fake: Path, argv: list[str]) -> list[str]:
    """Run what an editor runs, with few variables, and return what the program was called with."""
    subprocess.run(argv, check=True, cwd="/", env={"PATH": "/usr/bin:/bin"})
    return (fake / "called").read_text().splitlines()[1:]


def expected(chosen: Settings, fake: Path, *tasks: str) -> list[str]:
    doit = ["-m", "doit", f"--file={fake / 'dodo.py'}"]
    return [str(chosen.paths.home), chosen.name, *doit, *tasks]


def vscode_tasks(tree: Path) -> dict[str, Any]:
    return {item["label"]: item for item in json.loads((tree / naming.TASKS).read_text())["tasks"]}


def script(tree: Path, path: str) -> str:
    option = ET.parse(tree / path).getroot().find(".//option[@name='SCRIPT_TEXT']")
    assert option is not None
    return option.get("value", "")


def odd_instance(tmp_path: Path, tree: Path, instance: str = "default") -> Settings:
    home = tmp_path / f"{ODD} home"
    return with_checkout(tmp_path, tree, STEPKUBE_HOME=str(home), STEPKUBE_INSTANCE=instance)


@pytest.mark.parametrize("instance", ["default", "two"])
def test_vs_code_and_goland_run_debug_and_undebug(
    tmp_path: Path, tree: Path, fake: Path, instance: str
) -> None:
    chosen = odd_instance(tmp_path, tree, instance)
    assert not write(chosen)
    names = naming.Naming(instance)
    tasks = vscode_tasks(tree)
    for entry in launch(tree)["configurations"] + launch(tree)["compounds"]:
        assert entry["preLaunchTask"] in tasks
    for verb in naming.VERBS:
        for component in PORTS:
            done = expected(chosen, fake, f"{verb}:{component}")
            task = tasks[f"{names.prefix}doit {verb}:{component}"]
            assert task["type"] == "process"
            assert call(fake, [task["command"], *task["args"]]) == done
            line = script(tree, names.goland[f"{verb} {component}"])
            assert call(fake, ["/bin/sh", "-c", line]) == done
        together = tasks[f"{names.prefix}doit {verb}"]
        every = [f"{verb}:{component}" for component in PORTS]
        assert call(fake, [together["command"], *together["args"]]) == expected(
            chosen, fake, *every
        )


def test_goland_runs_the_script_before_it_connects_and_waits_for_it(
    chosen: Settings, tree: Path
) -> None:
    assert not write(chosen)
    for component in PORTS:
        before = ET.parse(tree / NAMING.goland[component]).getroot().find(".//method/option")
        shell = ET.parse(tree / NAMING.goland[f"debug {component}"]).getroot()[0]
        assert before is not None
        assert before.get("name") == "RunConfigurationTask" and before.get("enabled") == "true"
        assert before.get("run_configuration_name") == shell.get("name")
        assert before.get("run_configuration_type") == shell.get("type")
        terminal = shell.find("option[@name='EXECUTE_IN_TERMINAL']")
        assert terminal is not None and terminal.get("value") == "false", (
            "a terminal is not awaited"
        )


@pytest.mark.parametrize("options", [{"local": "/Users/me/k8s"}, {"host": "devbox"}])
def test_an_editor_on_another_machine_gets_no_command(
    chosen: Settings, tree: Path, options: dict[str, str]
) -> None:
    before = contents(tree)
    assert not write(chosen)
    assert not write(chosen, **options)
    assert not any("preLaunchTask" in entry for entry in launch(tree)["configurations"])
    assert not (tree / naming.TASKS).exists()
    assert sys.executable not in (tree / NAMING.snippet).read_text()
    assert ET.parse(tree / NAMING.goland["kubelet"]).getroot().find(".//method/option") is None
    assert not (tree / NAMING.goland["debug kubelet"]).exists()
    assert not clean(chosen)
    assert contents(tree) == before


def test_settings_of_this_run_are_passed_but_no_password(tmp_path: Path) -> None:
    environ = {
        "STEPKUBE_HOME": str(tmp_path),
        "STEPKUBE_DEBUG_BASE_PORT": "2340",
        "STEPKUBE_ORIGIN_TARBALL": "https://me:s3cret@example.org/k.tar.gz",
    }
    argv = commands.doit(load.load(environ, {"version": "v1.20.2"}), ["debug:kubelet"])
    assert {"version=v1.20.2", "debug.base_port=2340"} < set(argv)
    assert not any("s3cret" in word for word in argv)
    assert not any(word.startswith("origin.apt") for word in argv), "defaults are not passed"


USERS = {
    "with comments": '// mine\n{\n  "tasks": [\n    { "label": "make", /* x */ },\n  ], // e\n}\n',
    "another order": '{"inputs": [], "tasks": [{"label": "a"}], "version": "2.0.0"}',
    "no tasks": '{\n\t"version": "2.0.0"\n}\n',
    "lines end in CRLF": '{\r\n  "tasks": [\r\n    {"label": "a"}\r\n  ]\r\n}\r\n',
    "no text": "",
}


@pytest.mark.parametrize("text", USERS.values(), ids=USERS)
def test_clean_restores_the_bytes_of_tasks_json(chosen: Settings, tree: Path, text: str) -> None:
    path = tree / naming.TASKS
    path.parent.mkdir()
    path.write_bytes(text.encode())
    before = contents(tree)
    assert not write(chosen)
    assert b"stepkube: doit debug:kubelet" in path.read_bytes()
    edited = path.read_bytes() + b"// later"
    path.write_bytes(edited)
    assert not write(chosen)
    assert path.read_bytes() == edited
    path.write_bytes(edited.removesuffix(b"// later"))
    assert not clean(chosen)
    assert contents(tree) == before


def test_a_damaged_tasks_json_is_named_and_nothing_is_written(chosen: Settings, tree: Path) -> None:
    path = tree / naming.TASKS
    path.parent.mkdir()
    path.write_text('{\n"tasks": {}}')
    before = contents(tree)
    assert write(chosen).startswith(f"{path}:2: ")
    assert contents(tree) == before


def test_the_real_command_runs_from_any_folder(chosen: Settings, tree: Path) -> None:
    assert not write(chosen)
    task = vscode_tasks(tree)["stepkube: doit debug:kube-scheduler"]
    done = subprocess.run(
        [task["command"], *task["args"]],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "doit up" in done.stderr, "no cluster runs"
    assert "Traceback" not in done.stderr
