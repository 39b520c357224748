"""What counts as an edit for the version stamp of a binary."""

from pathlib import Path

import pytest

from tasks.build import edits, sources
from tasks.build.plan import plan_of
from tasks.core import doit_run
from tasks.settings.load import Settings
from tests.support import miniature

GO = b'package a // one\n\n/* two\n */\nvar x = "// three" + `/* four */`\n'


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (b"one", b"another", True),
        (b"two", b"other words", True),
        (b"two\n", b"two\n\n", False),
        (b"three", b"changed", False),
        (b"four", b"changed", False),
        (b"// one", b"//go:build x", False),
        (b"// one", b"//line a.go:7", False),
        (b"// one", b"// \xff", False),
        (b"/* two", b"'\\''; /* two", False),
        (b"var x", b"/**/ var x", False),
    ],
)
def test_comments_are_no_code(old: bytes, new: bytes, same: bool) -> None:
    edited = GO.replace(old, new)
    assert edited != GO
    assert (edits.code_of(edited) == edits.code_of(GO)) is same


def test_a_comment_after_the_last_code_is_no_code() -> None:
    assert edits.code_of(GO + b"\n// more\n\n") == edits.code_of(GO)
    assert edits.code_of(b"\n" + GO) != edits.code_of(GO), "the code has other lines"


def test_a_comment_that_is_compiled_as_c_is_code() -> None:
    code = b'package a\n\n// int x = 1;\nimport "C"\n'
    assert edits.code_of(code) != edits.code_of(code.replace(b"1", b"2"))


def state(chosen: Settings) -> str:
    """Return the state that is stamped into kube-scheduler."""
    doit_run.begin()
    assert sources.refresh(chosen, "kube-scheduler") is None
    stamp = plan_of(chosen, "kube-scheduler").recipe.stamp
    return next(value for key, value in stamp.items() if key.endswith("gitTreeState"))


def test_the_state_of_the_tree(chosen: Settings) -> None:
    tree = Path(chosen.origin.path)
    file, new = tree / "pkg/scheduler/scheduler.go", tree / "pkg/scheduler/new.go"
    clean = file.read_text()
    assert state(chosen) == "clean"
    file.write_text(clean.replace("name }", "name } // edited"))
    assert state(chosen) == "clean"
    file.write_text(clean.replace("return name", 'return "edited " + name'))
    assert state(chosen) == "dirty"
    miniature.git(tree, "update-index", "--skip-worktree", "pkg/scheduler/scheduler.go")
    assert state(chosen) == "dirty"
    file.write_text(clean)
    (tree / "pkg/kubelet/kubelet.go").write_text("package kubelet // of another module\n")
    assert state(chosen) == "clean"
    new.write_text("package scheduler\n")
    assert state(chosen) == "dirty"
    (tree / ".git/info/exclude").write_text("new.go\n")
    assert state(chosen) == "clean"
    miniature.commit(tree, "everything")
    (tree / "pkg/scheduler/data/name.txt").write_text("edited\n")
    assert state(chosen) == "dirty"
    miniature.commit(tree, "the embedded file")
    assert state(chosen) == "clean"


def test_line_ends_that_git_converts_are_no_edit(chosen: Settings) -> None:
    tree = Path(chosen.origin.path)
    miniature.git(tree, "config", "core.autocrlf", "true")
    file = tree / "pkg/scheduler/data/name.txt"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert state(chosen) == "clean"


def test_a_deleted_source_file_is_an_edit(chosen: Settings) -> None:
    tree = Path(chosen.origin.path)
    (tree / "pkg/scheduler/more.go").write_text("package scheduler\n")
    miniature.commit(tree, "more")
    assert state(chosen) == "clean"
    (tree / "pkg/scheduler/more.go").unlink()
    assert state(chosen) == "dirty"
