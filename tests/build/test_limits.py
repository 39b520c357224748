import pytest

from tasks.build import limits
from tasks.core.errors import Failure
from tasks.system import memory, resources

OLD, NEW = "1.15.15", "1.25.5"


@pytest.mark.parametrize(
    ("available", "cores", "jobs"),
    [(1.0, 16, 1), (3.9, 16, 2), (3.9, 1, 1), (100.0, 16, 16), (6.3, 2, 2)],
)
def test_jobs_follow_memory_and_cores(available: float, cores: int, jobs: int) -> None:
    for go in (OLD, NEW):
        assert limits.limits(0, available, cores, go).jobs == jobs
    assert limits.limits(3, available, cores, NEW).jobs == 3


@pytest.mark.parametrize("go", [OLD, NEW])
def test_a_build_with_enough_memory_gets_no_variables(go: str) -> None:
    assert limits.limits(0, 4.0, 1, go).variables == {}
    assert limits.limits(0, 24.0, 8, go).variables == {}


def test_a_build_with_little_memory_collects_garbage_more_often() -> None:
    assert limits.limits(0, 1.3, 4, OLD).variables == {}, "it does not know the variable"
    assert limits.limits(0, 1.3, 4, NEW).variables == {"GOMEMLIMIT": "1024MiB"}
    assert limits.limits(4, 4.3, 4, NEW).variables == {"GOMEMLIMIT": "1024MiB"}
    assert limits.limits(0, 0.1, 4, NEW).variables == {"GOMEMLIMIT": "256MiB"}, "never negative"


def test_too_little_memory_is_an_error_with_both_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 0.3)
    with pytest.raises(Failure, match=r"1\.5 GiB.* only 0\.3 GiB"):
        resources.require_memory(limits.LEAST_GIB, "compiling")
