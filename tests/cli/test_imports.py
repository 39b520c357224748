"""Modules of tasks/ are loaded at their first use, with compiled code from the workspace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings.load import ROOT

FILES = {
    "tasks/__init__.py": "",
    "tasks/core/__init__.py": "",
    "tasks/cli/__init__.py": "",
    "tasks/toy/__init__.py": "",
    "tasks/toy/one.py": "from tasks.toy import two\nprint('one loads')\nVALUE = 1\n",
    "tasks/toy/two.py": "print('two loads')\ndef value():\n    return VALUE\nVALUE = 2\n",
    "tasks/toy/data.py": (
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\n"
        "class Point:\n    x: int\n    y: int = 2\n"
    ),
}
START = """
import sys
sys.addaudithook(lambda event, args: event == "compile" and args[1] and "/toy/" in str(args[1])
    and print("compiled", str(args[1]).rpartition("/")[2]))
from tasks.core import derived
derived._SETTLED = 0
from tasks.cli import imports
imports.install()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small tree with the modules under test and two of its own."""
    for name, content in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for name in ("tasks/core/derived.py", "tasks/cli/imports.py"):
        shutil.copy(ROOT / name, tmp_path / "tree" / name)
    return tmp_path / "tree"


def run(tree: Path, program: str) -> list[str]:
    """Run a program in the tree; return the lines that it prints."""
    env = {**os.environ, "STEPKUBE_HOME": str(tree.parent / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-c", START + program]
    done = subprocess.run(argv, cwd=tree, env=env, capture_output=True, text=True, check=False)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()[-1:]]


def test_a_module_is_loaded_at_its_first_use(tree: Path) -> None:
    program = "from tasks.toy import one\nprint('imported')\none.VALUE\none.two.value()"
    words = [line for line in run(tree, program) if not line.startswith("compiled")]
    assert words == ["imported", "one loads", "two loads"]


def test_the_next_run_compiles_nothing_though_python_keeps_no_byte_code(tree: Path) -> None:
    program = "from tasks.toy import one\nprint(one.VALUE, one.two.value())"
    assert {"compiled one.py", "compiled two.py"} < set(run(tree, program))
    assert run(tree, program) == ["one loads", "two loads", "1 2"]
    assert list((tree / "tasks/toy").glob("__pycache__")) == []


def test_the_next_run_does_not_compile_the_methods_of_dataclasses(tree: Path) -> None:
    program = """
sys.addaudithook(lambda event, args: event == "compile" and args[1] == "<string>"
    and print("compiled a text"))
from tasks.toy.data import Point
print(Point(1), Point(1) == Point(1, 2), hash(Point(1)) == hash(Point(1, 2)))
try:
    Point(1).x = 3
except AttributeError:
    print("frozen")
"""
    values = ["Point(x=1, y=2) True True", "frozen"]
    assert [line for line in run(tree, program) if "compiled" not in line] == values
    assert run(tree, program) == values


def test_an_edit_is_seen(tree: Path) -> None:
    program = "from tasks.toy import two\nprint(two.value())"
    assert run(tree, program)[-1] == "2"
    file = tree / "tasks/toy/two.py"
    before = file.stat()
    file.write_text(file.read_text().replace("VALUE = 2", "VALUE = 3"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(tree, program)[-1] == "3"


def test_a_module_with_an_error_fails_at_each_use(tree: Path) -> None:
    (tree / "tasks/toy/two.py").write_text("print('tries')\n1 // 0\n")
    program = """
from tasks.toy import two
for _ in range(2):
    try:
        two.VALUE
    except ZeroDivisionError:
        print("fails")
"""
    words = [line for line in run(tree, program) if not line.startswith("compiled")]
    assert words == ["tries", "fails"] * 2


def test_two_threads_get_a_module_that_is_complete(tree: Path) -> None:
    (tree / "tasks/toy/two.py").write_text("import time\ntime.sleep(0.2)\nVALUE = 2\n")
    program = """
import threading
from tasks.toy import two
seen = []
threads = [threading.Thread(target=lambda: seen.append(two.VALUE)) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*seen)
"""
    words = [line for line in run(tree, program) if not line.startswith("compiled")]
    assert words == ["2 2"]


def test_a_missing_module_is_an_import_error(tree: Path) -> None:
    assert "ImportError" in run(tree, "from tasks.toy import three")[-1]
