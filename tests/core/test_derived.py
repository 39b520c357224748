"""Values that are derived from files, and when a cached one counts."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.core import derived
from tasks.core.derived import Cache


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the time stamps of files that were written just now."""
    monkeypatch.setattr(derived, "_SETTLED", 0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_text("one")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "derived"


def run(file: Path, source: Path, *more: Path) -> tuple[str, int]:
    """Return what a run derives from the source, and how often it had to."""
    calls = 0

    def derive() -> str:
        nonlocal calls
        calls += 1
        return source.read_text()

    cache = Cache(file)
    value = cache.value("text", [source, *more], derive)
    assert cache.value("text", [source, *more], derive) == value
    cache.save()
    return value, calls


def test_the_next_run_does_not_derive_again(file: Path, source: Path) -> None:
    assert run(file, source) == ("one", 1)
    assert run(file, source) == ("one", 0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def rewrite(source: Path) -> None:
    source.write_text("two")


def rewrite_with_old_times(source: Path) -> None:
    before = source.stat()
    source.write_text("two")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(source: Path) -> None:
    before = source.stat()
    other = source.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(source)


@pytest.mark.parametrize("change", [rewrite, rewrite_with_old_times, replace])
def test_another_content_of_the_same_size_is_seen(
    file: Path, source: Path, change: Callable[[Path], None]
) -> None:
    run(file, source)
    change(source)
    assert run(file, source) == ("two", 1)


def test_each_input_counts(file: Path, source: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.write_text("")
    run(file, source, second)
    second.write_text("x")
    assert run(file, source, second) == ("one", 1)
    assert run(file, source) == ("one", 1), "other inputs"
    second.unlink()
    with pytest.raises(FileNotFoundError):
        run(file, source, second)


def test_a_file_that_was_written_just_now_is_not_trusted(
    file: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived, "_SETTLED", 3600 * 10**9)
    cache = Cache(file)
    assert cache.value("text", [source], source.read_text) == "one"
    cache.save()
    monkeypatch.setattr(derived, "_SETTLED", 0)
    assert run(file, source) == ("one", 1)


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def open_to_others(file: Path) -> None:
    file.chmod(0o666)


def link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


@pytest.mark.parametrize("spoil", [damage, cut, empty, open_to_others, link])
def test_a_damaged_or_foreign_file_counts_as_empty(
    file: Path, source: Path, spoil: Callable[[Path], None]
) -> None:
    run(file, source)
    spoil(file)
    assert run(file, source) == ("one", 1)
    assert run(file, source) == ("one", 0), "it was written again"


def test_a_file_that_cannot_be_written_is_no_error(source: Path, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("")
    assert run(tmp_path / "occupied" / "derived", source) == ("one", 1)


def test_a_folder_that_others_can_write_gets_no_file(file: Path, source: Path) -> None:
    file.parent.mkdir()
    file.parent.chmod(0o777)
    run(file, source)
    assert list(file.parent.iterdir()) == []


def test_an_error_is_not_kept(file: Path, source: Path) -> None:
    cache = Cache(file)
    with pytest.raises(ZeroDivisionError):
        cache.value("text", [source], lambda: 1 // 0)
    assert cache.value("text", [source], source.read_text) == "one"


def test_values_of_removed_files_are_dropped(file: Path, source: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.write_text("x" * 100)
    cache = Cache(file)
    cache.value("gone", [gone], gone.read_text)
    cache.save()
    assert b"xxx" in file.read_bytes()
    gone.unlink()
    run(file, source)
    assert b"xxx" not in file.read_bytes()
