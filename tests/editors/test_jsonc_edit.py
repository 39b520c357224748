"""A launch.json of the user: our entries come and go, the rest keeps its bytes."""

import json
import os
import re
from pathlib import Path

import pytest

from tasks.editors import naming, tree_files
from tasks.settings.load import Settings
from tests.support.launches import (
    COMMENTED,
    NAMES,
    TOOL_FILES,
    clean,
    contents,
    launch,
    state,
    user_writes,
    with_checkout,
    write,
)

WRITTEN_BY_USERS = {
    "comments and trailing commas": COMMENTED,
    "a comma after the last": '{\n\t"configurations": [\n\t\t{"name": "a"},\n\t],\n}\n',
    "lines end in CRLF": '{\r\n  "configurations": [\r\n    {"name": "a"}\r\n  ]\r\n}\r\n',
    "a byte order mark": '\ufeff{"configurations": [{"name": "a"}], "compounds": []}',
    "one line": '{"version":"0.2.0","configurations":[{"name":"a"}]}',
    "empty lists": '{\n    "configurations": [],\n    "compounds": [ ]\n}',
    "a list with a comment in it": '{\n  "configurations": [\n    // none yet  \n  ]\n}\n',
    "an empty object": "{}\n",
    "an empty file": "",
    "blanks": " \n\n",
    "other order": '{"compounds": [{"name": "b", "configurations": ["a"]}], "version": "0.2.0"}',
    "names of all kinds": '{"configurations": [1, {"name": 2}, {}, {"name": "stepkubes"}]}',
}


DAMAGED = {
    "no comma": ('{\n  "version": "0.2.0"\n  "configurations": []\n}', 3, "comma"),
    "no end": ('{\n  "configurations": [\n', 3, "missing"),
    "no value": ('{\n  "configurations":\n}', 3, "value"),
    "no colon": ('{\n\n  "version" "0.2.0" }', 3, "colon"),
    "open comment": ('{ /* here\n  "configurations": [] }', 1, "missing"),
    "half a string": ('{\n"version": "0.2\n}', 2, "value"),
    "half an escape": ('{\n"version": "\\u00"}', 2, "not a value"),
    "two objects": ("{}\n{}", 2, "more text"),
    "a list": ("[]", 1, "object"),
    "another kind of value": ('{\n\n"configurations": {}}', 3, "not a list"),
}


@pytest.mark.parametrize("text", WRITTEN_BY_USERS.values(), ids=WRITTEN_BY_USERS)
def test_clean_restores_the_bytes_of_launch_json(chosen: Settings, tree: Path, text: str) -> None:
    path = user_writes(tree, text)
    before = contents(tree)
    users = launch(tree) if text.strip() else {}
    assert not write(chosen)
    value = launch(tree)
    entries = users.get("configurations", [])
    assert value["configurations"][: len(entries)] == entries
    assert [entry["name"] for entry in value["configurations"][len(entries) :]] == NAMES
    assert value["compounds"][:-1] == users.get("compounds", [])
    assert value["compounds"][-1]["name"] == "stepkube: debug all"
    endings = re.findall(rb"\r?\n", path.read_bytes())
    assert len(set(endings)) == 1, "all lines have the same ending"
    assert not clean(chosen)
    assert contents(tree) == before


@pytest.mark.parametrize("text", WRITTEN_BY_USERS.values(), ids=WRITTEN_BY_USERS)
def test_the_users_text_is_not_moved_or_rewritten(chosen: Settings, tree: Path, text: str) -> None:
    path = user_writes(tree, text)
    assert not write(chosen)
    characters = iter(path.read_bytes().decode())
    kept = text.replace("[ ]", "[]") if text.strip() else ""
    assert all(character in characters for character in kept)


def test_a_comment_stays_with_the_entry_it_follows(chosen: Settings, tree: Path) -> None:
    path = user_writes(tree, COMMENTED)
    assert not write(chosen)
    text = path.read_text()
    assert '"type":"node"\n    },   // the last one\n    {\n' in text
    assert text.startswith(COMMENTED[: COMMENTED.index("}   // the last one")])


@pytest.mark.parametrize("text", WRITTEN_BY_USERS.values(), ids=WRITTEN_BY_USERS)
def test_later_edits_of_the_user_stay(chosen: Settings, tree: Path, text: str) -> None:
    path = user_writes(tree, text)
    assert not write(chosen)
    edited = path.read_bytes().decode() + "\n// an afterthought"
    path.write_bytes(edited.encode())
    assert not write(chosen, local="/elsewhere")
    assert launch(tree)["configurations"][-1]["substitutePath"][0]["from"] == "/elsewhere"
    assert path.read_bytes().decode().endswith("\n// an afterthought")
    assert not clean(chosen)
    left = path.read_bytes().decode()
    assert left.endswith("\n// an afterthought")
    if text.strip():
        collapsed = text.replace("[ ]", "[]")
        assert left.removesuffix("\n// an afterthought") == collapsed
    assert "stepkube:" not in left


def test_an_entry_that_the_user_adds_to_our_file_is_kept(chosen: Settings, tree: Path) -> None:
    assert not write(chosen)
    path = tree / naming.LAUNCH
    mine = '{ "name": "mine" }'
    path.write_text(path.read_text().replace('"configurations": [', f'"configurations": [{mine},'))
    assert not write(chosen)
    assert [entry["name"] for entry in launch(tree)["configurations"]] == ["mine", *NAMES]
    assert not clean(chosen)
    assert launch(tree) == {"version": "0.2.0", "configurations": [{"name": "mine"}]}
    assert [place.name for place in (tree / ".vscode").iterdir()] == ["launch.json"]


def test_our_file_is_removed_after_the_user_removed_their_entry(
    chosen: Settings, tree: Path
) -> None:
    before = contents(tree)
    assert not write(chosen)
    path = tree / naming.LAUNCH
    ours = path.read_text()
    path.write_text(ours.replace('"configurations": [', '"configurations": [{"name": "mine"},'))
    assert not write(chosen)
    path.write_text(path.read_text().replace('{"name": "mine"},', ""))
    assert not clean(chosen)
    assert contents(tree) == before


def test_our_entries_are_replaced_and_removed_by_name(tmp_path: Path, tree: Path) -> None:
    old = ["stepkube: debug cloud", "a", "stepkube: debug kubelet", "stepkube: debug kubelet"]
    entries = [{"name": name, "port": 1} for name in old]
    user_writes(tree, json.dumps({"configurations": entries}))
    assert not write(with_checkout(tmp_path, tree, STEPKUBE_DEBUG_BASE_PORT="2340"))
    value = launch(tree)["configurations"]
    assert [entry["name"] for entry in value] == ["a", *NAMES]
    assert [entry["port"] for entry in value[1:]] == [2349, 2347, 2345, 2343, 2341]


def test_without_a_journal_clean_still_removes_our_entries(chosen: Settings, tree: Path) -> None:
    text = '{\n  "configurations": [\n    {"name": "a"} // b\n  ],\n  "compounds": []\n}\n'
    path = user_writes(tree, text)
    before = contents(tree)
    assert not write(chosen)
    (chosen.paths.instance / tree_files.JOURNAL).unlink()
    assert not clean(chosen)
    assert path.read_text() == text
    assert {*contents(tree)} - {*before} <= {str(tree / ".run"), str(tree / naming.TASKS)}
    assert json.loads((tree / naming.TASKS).read_text())["tasks"] == []


@pytest.mark.parametrize(("text", "line", "word"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_launch_json_fails_with_its_line(
    chosen: Settings, tree: Path, text: str, line: int, word: str
) -> None:
    path = user_writes(tree, text)
    before = state(tree)
    failed = write(chosen)
    assert failed.startswith(f"{path}:{line}: ")
    assert word in failed and "fix: " in failed
    assert state(tree) == before
    assert clean(chosen).startswith(f"{path}:{line}: ")
    assert state(tree) == before


def test_a_launch_json_that_is_not_text_is_damaged(chosen: Settings, tree: Path) -> None:
    path = user_writes(tree, "")
    path.write_bytes(b'{\n"version": "\xff"}')
    assert write(chosen).startswith(f"{path}:2: ")


def test_a_linked_launch_json_stays_a_link_and_keeps_its_mode(chosen: Settings, tree: Path) -> None:
    dotfile = tree / "launch.json"
    dotfile.write_text("{}\n")
    dotfile.chmod(0o600)
    (tree / ".vscode").mkdir()
    (tree / naming.LAUNCH).symlink_to(dotfile)
    assert not write(chosen)
    assert (tree / naming.LAUNCH).is_symlink()
    assert "stepkube: debug kubelet" in dotfile.read_text()
    assert dotfile.stat().st_mode & 0o777 == 0o600
    assert not clean(chosen)
    assert dotfile.read_text() == "{}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write another user's tree")
def test_files_made_by_root_belong_to_the_trees_owner(chosen: Settings, tree: Path) -> None:
    path = user_writes(tree, "{}")
    os.chown(path, 1234, 1235)
    os.chown(tree, 4321, 4322)
    assert not write(chosen)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
    for name in (".run", *TOOL_FILES):
        owner = (tree / name).stat()
        assert (owner.st_uid, owner.st_gid) == (4321, 4322)
