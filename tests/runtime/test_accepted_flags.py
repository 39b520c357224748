"""A binary decides about flags: stepkube's own are left out, the user's are refused by name."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.components import registry
from tasks.components.base import Component
from tasks.core.errors import Failure
from tasks.runtime import accepted_flags
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.ports import Health
from tests.support import toyup

PROGRAM = '''#!{python}
"""A program that reads its flags like the kubelet: pflag's forms, its --help, its words."""
import sys
KNOWN = {{"port": "int32", "v": "Level", "on": "", "labels": "mapStringString", "old": "HIDDEN"}}
items, rest = sys.argv[1:], []
while items:
    item = items.pop(0)
    if not item.startswith("--"):
        rest.append(item)
        continue
    name, equals, value = item[2:].partition("=")
    name = name.replace("_", "-")
    if name in ("help", "version"):
        continue
    if name not in KNOWN:
        sys.exit(f"F1130 16:09:30.592093   26432 server.go:156] unknown flag: --{{name}}")
    if KNOWN[name] and not equals:
        value = items.pop(0)
    if KNOWN[name] == "int32" and not value.isdigit():
        words = f'invalid argument "{{value}}" for "--{{name}}" flag: parsing'
        sys.exit(f"F1130 16:09:30.592093   26432 server.go:156] {{words}}")
if rest:
    words = f"unknown command: {{rest[0]}}\\ngoroutine 1"
    sys.exit(f"F1130 16:09:30.592093   26432 server.go:165] {{words}}")
for name, kind in KNOWN.items():
    if kind != "HIDDEN":
        print("  " if name != "v" else "  -v,", f"  --{{name}} {{kind}}".rstrip(), "  its meaning")
'''


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "toy"
    files.write(path, PROGRAM.format(python=sys.executable), 0o755)
    spec = replace(toyup.spec(1), user_flags="kubelet.flags")
    monkeypatch.setitem(registry.COMPONENTS, "toy", spec)
    return path


def settings(tmp_path: Path, flags: str) -> Settings:
    return load.load({"STEPKUBE_HOME": str(tmp_path / "home"), "KUBELET_FLAGS": flags})


def ask(tmp_path: Path, program: Path, flags: str, *own: str) -> tuple[str, ...]:
    """Return the arguments of the toy after its binary was asked, as a start does."""
    made = settings(tmp_path, flags)
    users = accepted_flags._user_arguments(made, Component("toy", (), Health("")))
    component = Component("toy", (str(program), *own, *users), Health(""))
    accepted = accepted_flags.with_accepted_flags(made, component)
    accepted_flags.require(made, accepted)
    return accepted.argv[1:]


def test_a_flag_of_stepkube_is_left_out(
    tmp_path: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(tmp_path, program, "", "--port=1", "--new-one=x") == ("--port=1",)
    assert "new-one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--prt=5", ["--prt", "--port?"]),
        ("--port 4 --maxPorts=5", ["--maxPorts"]),
        ("--zzz=5", ["--zzz", "--help"]),
        ("--port=x", ["invalid argument", '"--port"']),
        ("--on false", ["--on=false"]),
        ("--port=5 --port 6", ["--port", "twice"]),
        ("--on --on=false", ["--on", "twice"]),
    ],
)
def test_a_flag_of_the_user_is_refused_by_name(
    tmp_path: Path, program: Path, flags: str, words: list[str]
) -> None:
    with pytest.raises(Failure) as caught:
        ask(tmp_path, program, flags, "--v=3")
    for word in ["the environment (KUBELET_FLAGS)", *words]:
        assert word in str(caught.value)
    assert "F1130" not in str(caught.value) and "goroutine" not in str(caught.value)


def test_the_same_flag_of_stepkube_and_of_the_user_is_refused(
    tmp_path: Path, program: Path
) -> None:
    with pytest.raises(Failure, match=r"KUBELET_FLAGS.*--prt"):
        ask(tmp_path, program, "--prt=5", "--prt=4")


@pytest.mark.parametrize(
    "flags",
    ["--port 5", "--port=5", "--on", "--labels=a=b --labels c=d", "--old=x --old=y", "--v 9"],
)
def test_every_right_form_is_taken(tmp_path: Path, program: Path, flags: str) -> None:
    argv = ask(tmp_path, program, flags, "--v=3", "--new-one=x")
    assert " ".join(argv) == f"--v=3 {flags}"


def test_an_earlier_answer_does_not_drop_a_flag_of_the_user(tmp_path: Path, program: Path) -> None:
    made = settings(tmp_path, "--prt=5")
    argv = (str(program), "--port=1", "--prt=5")
    earlier = {"asked": files.digest(*argv), "refused": ["prt"]}  # of a release that dropped it
    files.write_json(made.paths.run / "toy.flags", earlier)
    with pytest.raises(Failure, match=r"KUBELET_FLAGS.*--prt"):
        ask(tmp_path, program, "--prt=5", "--port=1")
