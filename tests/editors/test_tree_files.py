"""Files in a tree: git does not see them, and clean removes them."""

import os
import shutil
from pathlib import Path

import pytest

from tasks.editors import confined, naming, tree_files
from tasks.settings.load import Settings
from tests.support import miniature
from tests.support.launches import (
    COMMENTED,
    NAMING,
    clean,
    contents,
    state,
    status,
    user_writes,
    with_checkout,
    write,
)


def test_the_checkout_stays_clean_for_git(chosen: Settings, tree: Path) -> None:
    assert not write(chosen)
    assert status(tree) == ""
    assert not clean(chosen)
    assert status(tree) == ""


def test_a_second_run_changes_no_content_and_no_mtime(chosen: Settings, tree: Path) -> None:
    user_writes(tree, COMMENTED)
    assert not write(chosen, local="/elsewhere/k8s")
    first = state(tree)
    assert not write(chosen, local="/elsewhere/k8s")
    assert state(tree) == first


def test_clean_removes_all_that_was_added(chosen: Settings, tree: Path) -> None:
    before = contents(tree)
    assert not write(chosen)
    assert contents(tree) != before
    assert not clean(chosen)
    assert contents(tree) == before
    assert not clean(chosen), "twice is harmless"
    assert contents(tree) == before
    assert not (chosen.paths.instance / tree_files.JOURNAL).exists()


def test_clean_keeps_folders_and_files_of_the_user(chosen: Settings, tree: Path) -> None:
    (tree / ".vscode").mkdir()
    (tree / ".run").mkdir()
    (tree / ".run/mine.run.xml").write_text("<component/>\n")
    before = contents(tree)
    assert not write(chosen)
    (tree / ".nvim").mkdir()
    assert not clean(chosen)
    (tree / ".nvim").rmdir()
    assert contents(tree) == before


def test_worktrees_share_gits_exclude_file_with_one_block_each(tmp_path: Path, tree: Path) -> None:
    other = tmp_path / "other"
    miniature.git(tree, "worktree", "add", "--quiet", "--detach", str(other))
    exclude = tree / ".git/info/exclude"
    before = exclude.read_bytes()
    first = with_checkout(tmp_path, tree)
    second = with_checkout(tmp_path, other, STEPKUBE_INSTANCE="two")
    assert not write(first)
    assert not write(second)
    assert (status(tree), status(other)) == ("", "")
    assert not clean(first)
    assert status(other) == ""
    assert not (other / ".git").is_dir() and (other / naming.LAUNCH).is_file()
    assert not clean(second)
    assert exclude.read_bytes() == before


@pytest.mark.parametrize("text", [None, b"", b"*.swp", b"# caf\xe9\r\n*.swp\r\n"])
def test_clean_restores_the_bytes_of_gits_exclude_file(
    chosen: Settings, tree: Path, text: bytes | None
) -> None:
    exclude = tree / ".git/info/exclude"
    exclude.unlink()
    if text is None:
        exclude.parent.rmdir()
    else:
        exclude.write_bytes(text)
    assert not write(chosen)
    assert status(tree) == ""
    assert not clean(chosen)
    if text is None:
        assert not exclude.parent.exists()
    else:
        assert exclude.read_bytes() == text


def test_a_tracked_file_is_not_excluded_and_a_warning_names_it(
    chosen: Settings, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user_writes(tree, "{}\n")
    miniature.commit(tree, "second")
    assert not write(chosen)
    assert status(tree) == "M .vscode/launch.json"
    warning = capsys.readouterr().err
    assert "git" in warning and str(tree / naming.LAUNCH) in warning
    assert naming.LAUNCH not in (tree / ".git/info/exclude").read_text()
    assert not clean(chosen)
    assert status(tree) == ""


def test_a_tree_in_a_larger_repository_stays_clean(tmp_path: Path) -> None:
    tree = miniature.make(tmp_path / "mono/src/k8s")
    shutil.rmtree(tree / ".git")
    miniature.git(tmp_path / "mono", "init", "--quiet")
    miniature.commit(tmp_path / "mono", "first")
    assert not write(with_checkout(tmp_path, tree))
    assert status(tmp_path / "mono") == ""


RUN = next(iter(NAMING.goland.values()))
LINKS = [".vscode", ".vscode/launch.json", ".run", RUN, NAMING.snippet, ".git/info"]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("{}\n")
    return folder


def place_link(tree: Path, name: str, outside: Path) -> Path:
    link = tree / name
    link.parent.mkdir(exist_ok=True)
    if link.is_dir():
        shutil.rmtree(link)
    link.symlink_to(outside / "file" if link.suffix else outside)
    return link


@pytest.mark.parametrize("name", LINKS)
def test_a_link_that_leads_out_of_the_tree_of_another_user_is_refused(
    chosen: Settings, tree: Path, outside: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = place_link(tree, name, outside)
    before = contents(tree)
    user = os.geteuid()
    with monkeypatch.context() as other:
        other.setattr(os, "geteuid", lambda: user + 1)
        failed = write(chosen)
        assert str(link) in failed and str(outside) in failed
        assert contents(tree) == before
        assert not clean(chosen)
    assert link.is_symlink()
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "{}\n"


@pytest.mark.parametrize("name", LINKS[:-1])
def test_a_link_that_git_tracks_is_not_followed_out_of_the_tree(
    chosen: Settings, tree: Path, outside: Path, name: str
) -> None:
    link = place_link(tree, name, outside)
    miniature.git(tree, "add", "--force", str(link))
    failed = write(chosen)
    assert str(link) in failed and "git" in failed
    assert not clean(chosen)
    assert link.is_symlink()
    assert (outside / "file").read_text() == "{}\n"


@pytest.mark.parametrize("name", LINKS)
def test_a_link_of_the_user_leads_out_of_the_tree(
    chosen: Settings, tree: Path, outside: Path, name: str
) -> None:
    link = place_link(tree, name, outside)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    assert not write(chosen)
    assert link.is_symlink()
    assert {path.name: path.read_bytes() for path in outside.iterdir()} != before
    assert not clean(chosen)
    if name not in NAMING.tool_files:  # others are removed, also a link
        assert link.is_symlink()
        assert {path.name: path.read_bytes() for path in outside.iterdir()} == before


@pytest.mark.parametrize("owned", ["link", "target", "tree"])
def test_each_of_link_target_and_tree_must_belong_to_the_user(
    chosen: Settings, tree: Path, outside: Path, owned: str
) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    link = place_link(tree, ".vscode", outside)
    os.lchown({"link": link, "target": outside, "tree": tree}[owned], 12345, 12345)
    assert str(link) in write(chosen)
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_a_link_to_itself_is_an_error(chosen: Settings, tree: Path) -> None:
    (tree / ".vscode").symlink_to(".vscode")
    assert str(tree / ".vscode") in write(chosen)


def test_another_editor_does_not_need_the_link(
    chosen: Settings, tree: Path, tmp_path: Path
) -> None:
    (tree / ".vscode").symlink_to(tmp_path)
    assert not write(chosen, editor="nvim")
    assert (tree / NAMING.snippet).is_file() and not (tmp_path / "launch.json").exists()


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tree / ".run/file"
    real = confined.require(path, tree)
    (tree / ".run").symlink_to(outside)
    monkeypatch.setattr(confined, "require", lambda *_: real)
    for attempt in (
        lambda: confined.write(path, b"x", tree, (0, 0)),
        lambda: confined.read(path, tree),
    ):
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            attempt()
    assert not list(outside.iterdir())
