"""Options of a probe, and a hit as text."""

from typing import Any

import pytest

from tasks.core.errors import Failure
from tasks.delve.probe import Probe
from tasks.delve.types import Frame, Hit, Variable


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at": ""}, "--at is missing"),
        ({"run": "kubectl 'x"}, "--run kubectl 'x: No closing quotation"),
        ({"hits": 0}, "--hits is 0"),
        ({"timeout": -1.0}, "--timeout is -1.0"),
        ({"depth": 0}, "--depth is 0"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], words: str) -> None:
    usual = {"at": "f", "run": "", "condition": "", "hits": 1, "timeout": 1.0, "depth": 1}
    with pytest.raises(Failure, match=words):
        Probe.parse(**{**usual, **options})


def test_a_hit_reads_as_text() -> None:
    frame = Frame("main.work", "/t/main.go", 22, False)
    long = Variable("b", "string", "x" * 300)
    given = (Variable("n", "int", "3"), long)
    hit = Hit(1, 0.44, 7, "main.work", "/t/main.go", 22, given, (), (frame,))
    lines = hit.lines()
    assert lines[:4] == [
        "hit 1 after 0.4 s in goroutine 7",
        "  main.work at /t/main.go:22",
        "  arguments",
        "    n int = 3",
    ]
    assert lines[4].endswith("xxx...") and len(lines[4]) < 220
    assert lines[5:] == ["  stack", "    main.work at /t/main.go:22"]
