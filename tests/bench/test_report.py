import json

import pytest

from tasks.bench import measure, report
from tasks.bench.measure import Sample
from tasks.bench.report import Figure


def sample(wall: float) -> Sample:
    return Sample(wall, wall / 2)


FIGURES = [
    Figure("look", "`doit list`", "s", (0.2, 0.3, 0.2), 0.25),
    Figure("edit", "an edit", "s processor", (8.0, 9.0, 8.6), 1.10, (5.0, 6.0, 8.0), "go build"),
    Figure("branch", "packages", "packages", (0.0, 0.0, 0.0), 0),
    Figure("serve", "total", "s", (3.0,)),
    Figure("idle", "nothing", "s", (), 0.4, note="no cluster"),
]


def test_the_median_or_the_ratio_is_compared_with_the_target() -> None:
    look, edit, branch, serve, idle = FIGURES
    assert look.reached is True and look.ratio is None
    assert edit.ratio == 1.5, "of the pairs in turn: 1.6, 1.5, 1.075"
    assert edit.reached is False
    assert branch.reached is True
    assert serve.reached is None and idle.reached is None


def test_json_has_every_sample_and_the_verdict() -> None:
    document = json.loads(report.as_json(FIGURES, {"kubernetes": "v1.20.2"}))
    assert document["kubernetes"] == "v1.20.2"
    edit = document["figures"][1]
    assert edit["values"] == [8.0, 9.0, 8.6] and edit["others"] == [5.0, 6.0, 8.0]
    assert (edit["median"], edit["median_compared_with"], edit["ratio"]) == (8.6, 6.0, 1.5)
    assert (edit["reached"], edit["target"]) == (False, 1.1)
    assert document["figures"][4]["median"] is None


def test_every_line_of_the_table_has_the_same_columns() -> None:
    odd = Figure("a", "x | y", "s", (1.0,), note="n | m")
    text = report.as_markdown([*FIGURES, odd], {"go": "1.15"})
    table = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(FIGURES) + 1
    assert {line.count("|") for line in table} == {8}
    assert "<= 1.1 x" in text and "go build: 6 s processor" in text


def test_runs_are_taken_in_turn() -> None:
    order: list[str] = []

    def named(name: str) -> Sample:
        order.append(name)
        return sample(len(order))

    seen: list[int] = []
    ours, other = measure.in_turn(
        3, lambda: named("ours"), lambda: named("other"), progress=seen.append
    )
    assert order == ["ours", "other"] * 3 and seen == [1, 2, 3]
    assert [one.wall for one in ours] == [1, 3, 5] and [one.wall for one in other] == [2, 4, 6]


def test_a_ratio_skips_what_took_no_time() -> None:
    assert measure.ratio([1.0, 2.0], [0.0, 1.0]) == 2.0


def test_processor_time_is_that_of_the_process_tree() -> None:
    busy = "import time\nwhile time.process_time() < {}: pass"
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy.format(0.3)!r}])"
    import sys  # noqa: PLC0415

    taken, output = measure.command(sys.executable, "-c", child + "\nprint('done')")
    assert taken.processor >= 0.3 and taken.wall > 0 and output == "done\n"


def test_a_command_that_fails_is_not_a_figure() -> None:
    from tasks.core.errors import Failure  # noqa: PLC0415

    with pytest.raises(Failure, match="exited with 7"):
        measure.command("sh", "-c", "exit 7")
