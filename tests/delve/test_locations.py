"""Functions and files are found by the ends of their names."""

import pytest

from tasks.core.errors import Failure
from tasks.delve import locations

KNOWN = (
    "k8s.io/kubernetes/pkg/scheduler.(*Scheduler).schedulePod",
    "k8s.io/kubernetes/pkg/scheduler.(*Scheduler).schedulePod.func1",
    "k8s.io/kubernetes/pkg/registry/core/configmap.strategy.PrepareForCreate",
    "k8s.io/kubernetes/pkg/registry/core/configmap.(*strategy).PrepareForCreate",
    "k8s.io/kubernetes/pkg/registry/core/secret.strategy.PrepareForCreate",
    "k8s.io/apimachinery/pkg/util/sets.Set[go.shape.string].Insert",
    "k8s.io/apimachinery/pkg/util/sets.Set[go.shape.struct { x []int }].Insert",
    "gopkg.in/yaml%2ev2.(*decoder).scalar",
    "main.main",
    "k8s.io/kubernetes/cmd/main.main",
)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("main.main", "main.main"),
        ("schedulePod", KNOWN[0]),
        ("Scheduler.schedulePod", KNOWN[0]),
        ("(*Scheduler).schedulePod", KNOWN[0]),
        ("pkg/scheduler.(*Scheduler).schedulePod", KNOWN[0]),
        ("configmap.strategy.PrepareForCreate", KNOWN[2]),
        ("sets.Set.Insert", "k8s.io/apimachinery/pkg/util/sets.Set.Insert"),
        (KNOWN[5], KNOWN[5]),
        ("yaml.v2.decoder.scalar", KNOWN[7]),
        ("cmd/main.main", KNOWN[9]),
    ],
)
def test_a_function_is_known_by_the_end_of_its_name(said: str, meant: str) -> None:
    assert locations.match_function(said, KNOWN) == meant


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("edulePod", KNOWN[0]),
        ("cache.schedulePod", KNOWN[0]),
        ("secret.strategy.PrepareForCreat", KNOWN[4]),
        ("xyzzy", "search the source"),
    ],
)
def test_an_unknown_function_names_the_nearest(said: str, hint: str) -> None:
    with pytest.raises(Failure, match=f" {said}\n") as caught:
        locations.match_function(said, KNOWN)
    assert hint in caught.value.hint


def test_an_ambiguous_name_lists_what_it_may_mean() -> None:
    with pytest.raises(Failure, match="matches 2 names") as caught:
        locations.match_function("PrepareForCreate", KNOWN)
    assert KNOWN[2] in caught.value.message and KNOWN[4] in caught.value.message
    many = [f"p{number}.F" for number in range(30)]
    with pytest.raises(Failure, match="and 20 more"):
        locations.match_function("F", many)


def test_a_file_is_known_by_the_end_of_its_path() -> None:
    known = ("/src/a/server.go", "/src/b/server.go", "/src/observer.go")
    assert locations.match_file("a/server.go", known) == "/src/a/server.go"
    assert locations.match_file("/src/b/server.go", known) == "/src/b/server.go"
    assert locations.match_file("observer.go", known) == "/src/observer.go"
    with pytest.raises(Failure, match="matches 2 names"):
        locations.match_file("server.go", known)
