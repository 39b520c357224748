"""The table of files: what it reads again, and what go list would see of a Go file."""

import os
from pathlib import Path

import pytest

from tasks.build import file_table
from tasks.build.file_table import UNKNOWN, FileTable, blob_digest, head_of


def test_a_file_written_in_the_tick_in_which_it_was_read_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.go"
    file.write_text("package a\n")
    table = FileTable(tmp_path / "table.json")
    table.add([str(file)], [])
    assert table.files[str(file)][0] == UNKNOWN
    table.save()
    assert file_table.opened(tmp_path / "table.json").files[str(file)][0] in (
        UNKNOWN,
        file_table.state_of(str(file)),
    )


def test_only_changed_files_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(tmp_path / name) for name in ("a.go", "b.go", "none.go")]
    for path in paths[:2]:
        Path(path).write_text("package a\n")
    table = FileTable(tmp_path / "table.json")
    table.add(paths, [])
    settled = {path: (file_table.state_of(path), *table.files[path][1:]) for path in paths}
    table.files.update(settled)
    before = table.serial
    read: list[str] = []
    real = FileTable._read_file

    def spy(self: FileTable, path: str) -> None:
        read.append(path)
        real(self, path)

    monkeypatch.setattr(FileTable, "_read_file", spy)
    table.look()
    assert read == []
    Path(paths[0]).touch()
    table.look()
    assert read == paths[:1] and table.serial == before, "the content is the same"
    table.files.update(settled)
    Path(paths[2]).write_text("package a\n")
    os.replace(paths[1], tmp_path / "c.go")  # noqa: PTH105
    table.look()
    assert table.serial != before
    assert (table.files[paths[1]][1], table.files[paths[2]][1]) == ("", blob_digest(b"package a\n"))


def test_a_link_that_leads_to_another_folder_with_the_same_names_is_seen(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.go").write_text("package a\n")
    link = tmp_path / "link"
    link.symlink_to("one")
    table = FileTable(tmp_path / "table.json")
    table.add([], [str(link)])
    before = table.folders[str(link)][1]
    link.unlink()
    link.symlink_to("two")
    table.look()
    assert table.folders[str(link)][1] != before


def test_names_that_go_does_not_compile_do_not_count(tmp_path: Path) -> None:
    def digest() -> str:
        table = FileTable(tmp_path / "none.json")
        table.add([], [str(tmp_path)])
        return table.folders[str(tmp_path)][1]

    empty = digest()
    for name in ("OWNERS", "a_test.go", "_a.go", ".a.go", "data.txt"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.go")
    assert digest() == empty
    for name in ("a.go", "a.s", "a.h", "a.syso", "go.mod", "vendor"):
        before = digest()
        (tmp_path / name).touch()
        assert digest() != before, name


HEAD = b'/* func f() { */\n//go:build linux\n\npackage a // main\n\nimport (\n\t"b" // ) \n)\n'


@pytest.mark.parametrize(
    ("more", "same"),
    [
        (b'import `c`\n\nfunc f() { g("//go:embed x") }\n', False),
        (b"func f() int { return 1 }\n", True),
        (b"func f() int { return 2 }\n", True),
        (b"func f() {}\n\n//go:embed data\nvar x string\n", False),
        (b'import "C"\n\nfunc f() {}\n', False),
        (b"someday a new keyword\n", False),
    ],
)
def test_what_go_list_reads_of_a_file(more: bytes, same: bool) -> None:
    plain = head_of(HEAD + b"func f() {}\n")
    assert (head_of(HEAD + more) == plain) is same
    assert head_of(HEAD.replace(b"linux", b"amd64") + more) != plain


def test_a_digest_is_the_one_of_git(tmp_path: Path) -> None:
    assert blob_digest(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_a_table_with_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path / "caf") + b"\xe9.go")
    table = FileTable(tmp_path / "table.json")
    table.add([name], [])
    table.save()
    assert file_table.opened(tmp_path / "table.json").files.keys() == {name}


def test_a_table_with_an_impossible_name_is_set_aside(tmp_path: Path) -> None:
    table = FileTable(tmp_path / "table.json")
    table.add([str(tmp_path / "NAME")], [])
    table.save()
    text = table.path.read_text().replace("NAME", "a\\u0000b")
    table.path.write_text(text)
    assert file_table.opened(table.path).files == {}
    assert (tmp_path / "table.json.damaged").read_text() == text
