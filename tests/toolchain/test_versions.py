"""Which Go, etcd and Delve a tree needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.gomod import release as release_
from tasks.toolchain import goroot
from tasks.toolchain import versions as golang
from tests.support.go_proxy import write

OLD_VERSION = {"build/build-image/cross/VERSION": "v1.15.5-1\n"}


NEW_VERSION = {"build/build-image/cross/VERSION": "v1.23.0-go1.17.3-bullseye.0\n"}


SHELL = {"hack/lib/golang.sh": "  local minimum_go_version\n  minimum_go_version=go1.25\n"}


DEPENDENCIES = {
    "build/dependencies.yaml": (
        'dependencies:\n  # x\n  - name: "golang"\n    version: 1.2.3\n'
        '  - name: "golang: upstream version"\n    version: 1.18.1\n    refPaths:\n'
    )
}


GO_MOD = {"go.mod": "module k8s.io/kubernetes\n\ngo 1.22.0\n"}


@pytest.mark.parametrize(
    ("contents", "required"),
    [
        ({".go-version": "1.25.1\n"} | DEPENDENCIES | NEW_VERSION, "1.25.1"),
        ({".go-version": "1.26rc1\n"} | DEPENDENCIES | NEW_VERSION, "1.18.1"),
        (DEPENDENCIES | NEW_VERSION | SHELL, "1.18.1"),
        (NEW_VERSION | SHELL | GO_MOD, "1.17.3"),
        (OLD_VERSION | SHELL | GO_MOD, "1.15.5"),
        ({"build/build-image/cross/VERSION": "v1.9.3-2\n"}, "1.9.3"),
        ({"build/build-image/cross/VERSION": "v1.34.0-go1.24.6-bullseye.0\n"}, "1.24.6"),
        (SHELL | GO_MOD, "1.25.0"),
        (GO_MOD, "1.22.0"),
        ({"go.mod": "module x\n\ngo 1.22.0\n\ntoolchain go1.22.5\n"}, "1.22.5"),
        ({"go.mod": "module x\n\ngo 1.15\n"}, "1.15"),
        ({"Godeps/Godeps.json": '{"ImportPath": "x", "GoVersion": "go1.9"}'}, "1.9"),
    ],
)
def test_the_go_of_a_tree_is_read_from_the_first_file_that_names_it(
    tmp_path: Path, contents: dict[str, str], required: str
) -> None:
    assert golang.required_go(write(tmp_path, contents)) == required


@pytest.mark.parametrize("contents", [{}, {"Godeps/Godeps.json": "{"}, {".go-version": "tip"}])
def test_a_tree_without_a_go_version_is_named(tmp_path: Path, contents: dict[str, str]) -> None:
    with pytest.raises(Failure, match=re.escape(str(tmp_path))):
        golang.required_go(write(tmp_path, contents))


def test_the_etcd_of_a_tree_is_read_from_its_script(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"etcd\.sh") as caught:
        golang.required_etcd(tmp_path)
    assert "etcd.version" in caught.value.hint
    write(tmp_path, {"hack/lib/etcd.sh": "#!x\n\nETCD_VERSION=${ETCD_VERSION:-3.4.13}\n"})
    assert golang.required_etcd(tmp_path) == "3.4.13"


@pytest.mark.parametrize(
    ("delve", "expected"),
    [
        ("1.5.0", ((1, 12), (1, 15))),
        ("1.9.0", ((1, 16), (1, 19))),
        ("1.20.2", ((1, 18), (1, 20))),
        ("1.25.0", ((1, 21), (1, 24))),
        ("1.25.2", ((1, 22), (1, 25))),
        ("1.27.9", ((1, 25), (1, 27))),
        ("1.30.1", ((1, 28), (1, 30))),
    ],
)
def test_delve_supports_a_range_of_go(delve: str, expected: golang.Range) -> None:
    assert golang.delve_range(release_.require_release(delve, "x")) == expected


def test_releases_are_read_and_written_as_go_does() -> None:
    assert release_.release("go1.15") == release_.release("v1.15.0") == (1, 15, 0)
    assert release_.release("1.26rc1") is release_.release("v3.7.0-beta.0") is None
    assert [golang.go_name(v) for v in ((1, 20, 0), (1, 20, 1), (1, 21, 0))] == [
        "1.20",
        "1.20.1",
        "1.21.0",
    ]
    with pytest.raises(Failure, match=r"etcd\.version: 'x'"):
        release_.require_release("x", "etcd.version")


def test_a_newer_patch_is_used_only_if_it_is_needed() -> None:
    def offered() -> Iterator[tuple[int, int, int]]:
        listings.append(1)
        yield from ((1, 15, n) for n in (2, 15, 8, 7, 5, 13))
        yield (1, 16, 9)

    listings: list[int] = []
    tried = goroot.candidates((1, 15, 5), offered())
    assert next(tried) == (1, 15, 5)
    assert not listings
    assert list(tried) == [(1, 15, 15), (1, 15, 13), (1, 15, 8)]
