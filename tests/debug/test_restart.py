"""A debugged toy is edited, built and restarted: its breakpoints follow their statements."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tasks import delve
from tasks.build import source_text
from tasks.core import doit_run
from tasks.debug import restart, swap
from tasks.delve.types import Breakpoint
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system.run import run
from tests.support import miniature, toycluster
from tests.support.dap import Dap
from tests.support.stops import wait_stop
from tests.support.toyswap import current, enter, goes_on

TOY = Path(__file__).resolve().parents[1] / "toy"


@dataclass
class Edited:
    """The toy's source in a repository, and its binaries, made as `doit build` makes them."""

    settings: Settings
    folder: Path
    go: Path
    go_env: dict[str, str]
    dlv: Path
    go_version: str
    number: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def main(self) -> Path:
        return self.folder / "main.go"

    def line(self, text: str, file: str = "main.go") -> int:
        lines = (self.folder / file).read_text().splitlines()
        (number,) = [number for number, line in enumerate(lines, 1) if text in line]
        return number

    def edit(self, before: str, after: str) -> None:
        text = self.main.read_text()
        assert text.count(before) == 1
        self.main.write_text(text.replace(before, after))

    def build(self, *, keeps: bool = True) -> None:
        self.number += 1
        binary = self.settings.paths.home / f"made-{self.number}" / "toy"
        argv = ("build", "-gcflags", "all=-N -l", "-o", str(binary), ".")
        run(self.go, *argv, cwd=self.folder, env=self.go_env)
        toycluster.write(self.settings, binary, self.dlv, self.go_version)
        if keeps:
            names = sorted(path.name for path in self.folder.glob("*.go"))
            blobs = miniature.git(self.folder, "hash-object", *names).split()
            digests = "".join(f"{blob}  {name}\n" for blob, name in zip(blobs, names, strict=True))
            checkout = replace(load_checkout(self.settings.paths.lock), tree=self.folder)
            source_text.keep(binary, checkout, digests)

    def restart(self, *, keeps: bool = True) -> str:
        """Build and restart the toy as `doit up` does; return what it says."""
        self.build(keeps=keeps)
        doit_run.current().notes.clear()
        suspended = restart.suspend(self.settings, "toy")
        assert suspended is not None
        record = processes.start(self.settings, processes.desired_component(self.settings, "toy"))
        restart.reenter(self.settings, record, suspended)
        return "; ".join(doit_run.current().notes)

    @property
    def address(self) -> str:
        swapped = swap.load(self.settings, "toy")
        assert swapped is not None
        return swapped.listen

    def points(self) -> dict[int, Breakpoint]:
        with delve.Delve(self.address) as client, client.halted():
            return {point.line: point for point in client.breakpoints()}


@pytest.fixture
def edited(
    chosen: Settings, go: Path, go_env: dict[str, str], dlv: Path, go_version: str
) -> Iterator[Edited]:
    folder = chosen.paths.home / "source"
    shutil.copytree(TOY, folder)
    miniature.git(folder, "init", "--quiet")
    miniature.commit(folder, "first")
    made = Edited(chosen, folder, go, go_env, dlv, go_version)
    made.build()
    processes.start(chosen, processes.desired_component(chosen, "toy"))
    enter(chosen, "attach")
    with doit_run.fresh():
        yield made


def test_a_line_inserted_above_moves_a_breakpoint_with_all_its_options(edited: Edited) -> None:
    lines = [edited.line(text) for text in ("label :=", "return label", "fmt.Fprint(", "calls.S")]
    with delve.Delve(edited.address) as client, client.halted():
        hit_condition = {"HitCond": "> 1000000", "HitCondPerG": True}
        client.break_at(
            file=edited.main, line=lines[0], condition="n < 0", name="mine", options=hit_condition
        )
        trace = {"continue": True, "variables": ["label"], "stacktrace": 2, "goroutine": True}
        client.break_at(file=edited.main, line=lines[1], condition="n < 0", options=trace)
        client.break_at(file=edited.main, line=lines[2], condition="false")
        client.break_at(file=edited.main, line=lines[3], options={"disabled": True})
    edited.edit("\tlabel :=", "\tname += name // work\n\tlabel :=")
    edited.edit("func work", "// a comment above\nfunc work")
    said = edited.restart()
    assert f"with 4 breakpoints, 4 moved from line {lines[0]} to {lines[0] + 2}" in said
    assert "lost" not in said
    points = edited.points()
    assert set(points) == {line + 2 for line in lines}
    one, traced, closure, disabled = (points[line + 2] for line in lines)
    assert (one.condition, one.name) == ("n < 0", "mine")
    assert one.options == hit_condition
    assert traced.options == trace
    assert closure.condition == "false" and "func1" in closure.function
    assert disabled.options == {"disabled": True}
    assert goes_on(edited.settings)


def test_a_carried_breakpoint_is_hit_at_its_statement(edited: Edited) -> None:
    with delve.Delve(edited.address) as client, client.halted():
        client.break_at(file=edited.main, line=edited.line("return label"))
    edited.edit("\treturn label", '\tlabel += "!"\n\tif label == "" {\n\t}\n\treturn label')
    with delve.Delve(edited.address) as client:
        wait_stop(client, 60)
    assert "1 moved" in edited.restart()
    with delve.Delve(edited.address) as client:
        stop = wait_stop(client, 60)
        assert stop.line == edited.line("return label")
        assert client.evaluate("label").value.endswith('!"')


def test_a_removed_statement_is_lost_and_named(edited: Edited) -> None:
    with delve.Delve(edited.address) as client, client.halted():
        client.break_at(file=edited.main, line=edited.line("label :="), condition="n < 0")
        client.break_at(function="main.main")
    edited.edit('\tlabel := name + "-" + strconv.Itoa(n)\n\treturn label', "\treturn name")
    said = edited.restart()
    assert "with 1 breakpoints" in said and "1 lost: main.work no longer has `label :=" in said
    assert [point.function for point in edited.points().values()] == ["main.main"]
    assert goes_on(edited.settings)


def test_a_function_that_moved_to_another_file_keeps_its_breakpoints(edited: Edited) -> None:
    line = edited.line("return label")
    with delve.Delve(edited.address) as client, client.halted():
        client.break_at(file=edited.main, line=line, condition="n < 0")
    text = edited.main.read_text()
    start, end = text.index("func work"), text.index("func main")
    moved = text[start:end]
    edited.main.write_text(text[:start] + text[end:])
    (edited.folder / "work.go").write_text(f'package main\n\nimport "strconv"\n\n{moved}')
    said = edited.restart()
    assert (
        f"1 moved from main.go:{line} to work.go:{edited.line('return label', 'work.go')}" in said
    )
    (point,) = edited.points().values()
    assert Path(point.file).name == "work.go" and point.condition == "n < 0"


def test_a_renamed_function_loses_its_breakpoints(edited: Edited) -> None:
    with delve.Delve(edited.address) as client, client.halted():
        client.break_at(function="main.work", condition="n < 0")
    edited.edit("func work", "func labour")
    edited.edit("\t\t\twork(n", "\t\t\tlabour(n")
    said = edited.restart()
    assert "with 0 breakpoints" in said and "1 lost: main.work no longer exists" in said
    assert edited.points() == {}


def test_a_second_edit_of_a_file_that_git_does_not_have_is_followed(edited: Edited) -> None:
    edited.edit("func work", "// not committed\nfunc work")
    edited.restart()
    with delve.Delve(edited.address) as client, client.halted():
        client.break_at(file=edited.main, line=edited.line("return label"), condition="n < 0")
    edited.edit("// not committed\n", "")
    assert "1 moved" in edited.restart()
    assert list(edited.points()) == [edited.line("return label")]


def test_without_the_old_source_the_line_in_the_function_is_used_and_said(edited: Edited) -> None:
    edited.restart(keeps=False)
    with delve.Delve(edited.address) as client, client.halted():
        client.break_at(file=edited.main, line=edited.line("return label"), condition="n < 0")
    edited.edit("func work", "// above\nfunc work")
    said = edited.restart()
    assert "1 moved" in said and "1 by line number" in said
    assert list(edited.points()) == [edited.line("return label")]


def test_a_client_is_told_to_connect_again(edited: Edited) -> None:
    assert "connect" not in edited.restart()
    with delve.Delve(edited.address) as client, client.halted():
        client.break_at(file=edited.main, line=edited.line("return label"), condition="n < 0")
    editor = Dap(edited.address)
    editor.attach("main.main")
    try:
        said = edited.restart()
    finally:
        editor.close()
    assert f"connect the debugger to {edited.address} again" in said
    editor = Dap(edited.address)
    try:
        editor.attach("main.main")  # no breakpoint of its own is in its way
    finally:
        editor.close()
    assert current(edited.settings).mode == "debug-attach"
