"""Values that no program can use are refused with their key or file, never with a traceback."""

import os
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.settings import load

EXPLODING = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdef", "bcdefg", strict=True)
)
FILES = {
    "a date": b"version: !!timestamp 2020-13-45\n",
    "a tag": b"version: !!python/object:os.system x\n",
    "a number with a tag": b"version: !!int abc\n",
    "no number with a tag": b"version: !!int\n",
    "bytes": b"api:\n  bind_addr: \xff\xfe\n",
    "NUL": b"version: \0\n",
    "nested": b"[" * 20_000,
    "exploding": EXPLODING.encode(),
    "recursive": b"version: &a [*a]\n",
    "a key of another kind": b"? [a, b]\n: c\n",
    "duplicate key": b"version: a\nversion: b\n",
    "large": b"#" * (2 << 20),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_with_such_a_value_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "stepkube.yaml"
    file.write_bytes(content)
    with pytest.raises(Failure) as caught:
        load.load({"STEPKUBE_CONFIG": str(file)})
    assert str(file) in caught.value.message and caught.value.hint
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_not_a_file_is_not_read(tmp_path: Path, make: object) -> None:
    file = tmp_path / "stepkube.yaml"
    make(file)  # type: ignore[operator]
    with pytest.raises(Failure) as caught:
        load.load({"STEPKUBE_CONFIG": str(file)})
    assert str(file) in caught.value.message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("API_PORT", "٦٤٤٣"),
        ("API_PORT", "9" * 5000),
        ("LOG_DIR", "/tmp/\udcff"),
        ("LOG_DIR", "~nobody-known/x"),
        ("LOG_DIR", "one\ntwo"),
        ("LOG_DIR", "/" + "x" * 300),
        ("LOG_DIR", "/x" * 3000),
        ("STEPKUBE_BUILD_KEEP", "nan"),
    ],
)
def test_a_variable_with_such_a_value_is_named(variable: str, value: str) -> None:
    with pytest.raises(Failure) as caught:
        load.load({variable: value, "STEPKUBE_CONFIG": "/dev/null"})
    assert variable in caught.value.message or value in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("name", ["", " ", "api ", "a\nb"])
def test_a_key_that_cannot_be_seen_is_quoted(name: str) -> None:
    with pytest.raises(Failure) as caught:
        load.load({}, {name: "1"}, Path(os.devnull))
    assert repr(name) in caught.value.message


def test_an_unknown_key_of_a_file_is_not_taken_for_an_option(tmp_path: Path) -> None:
    file = tmp_path / "stepkube.yaml"
    file.write_text("1: 2\n")
    with pytest.raises(Failure) as caught:
        load.load({"STEPKUBE_CONFIG": str(file)})
    assert str(file) in caught.value.message and "--option" not in caught.value.hint


def test_an_empty_path_of_the_file_counts_as_not_set() -> None:
    assert load.load({"STEPKUBE_CONFIG": ""}, {}, Path("/nowhere/stepkube.yaml")).version == "auto"
