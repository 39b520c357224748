"""State of a doit run."""

from tasks.core import doit_run
from tasks.core.doit_run import forget, once_per_run


def test_selection_follows_dependencies() -> None:
    run = doit_run.current()
    run.dependencies = {"b:1": ("a",), "a": (), "b:2": ("gone",), "c": ("b:1", "c")}
    run.selected = ("c",)
    assert run.selected_with_dependencies("") == ["b:1", "a", "c"]
    assert run.selected_with_dependencies("b:") == ["b:1"]
    assert run.is_selected("c") and not run.is_selected("a")


def test_results_are_kept_until_the_run_ends() -> None:
    calls: list[int] = []

    @once_per_run
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert [double(2), double(2), double(3)] == [4, 4, 6] and calls == [2, 3]
    forget(double)
    assert double(2) == 4 and calls == [2, 3, 2]
    with doit_run.fresh():
        assert double(2) == 4 and calls == [2, 3, 2, 2]
    assert double(2) == 4 and calls == [2, 3, 2, 2]
