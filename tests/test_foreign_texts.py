"""Texts of other programs: the kernel, apt, yum, Go, Delve, trees. Any input, and a property of it.

HYPOTHESIS_PROFILE=long tries more.
"""

from __future__ import annotations

import json
import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tasks.checkout import debian
from tasks.core.errors import Failure
from tasks.delve.client import Delve
from tasks.delve.connection import DelveError
from tasks.editors import jsonc_edit, jsonc_parser
from tasks.host import apt, yum
from tasks.host.plan import Mirrors
from tasks.kubernetes import facts, releases, tree
from tasks.system import apt_sources, exits, mounts, procfs
from tasks.toolchain import versions

MIRRORS = Mirrors(
    *("http://m.test/rocky", "http://m.test/epel", "http://m.test/debian"), "", "", ""
)
WORDS = some.text(some.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def lines(*parts: str) -> some.SearchStrategy[str]:
    """Return texts of the parts of a format, mixed with any other text."""
    return some.lists(some.sampled_from(parts) | WORDS, max_size=14).map("".join)


# --- JSON with comments ----------------------------------------------------------------------

COMMENT = some.sampled_from(["", " ", "\n", "// a {[\n", "/* b ]} */", "\t", "\r\n"])
VALUE = some.sampled_from(["1", '"a//b"', "true", "null", "[]", '{"name": "x"}', "[1, 2,]"])


@some.composite
def jsonc(draw: some.DrawFn) -> str:
    """Return an object with a list of configurations, with comments anywhere."""

    def between() -> str:
        return draw(COMMENT)

    def row(opening: str, items: list[str], closing: str) -> str:
        comma = draw(some.sampled_from(["", ","])) if items else ""
        inner = f"{between()},{between()}".join(items)
        return f"{opening}{between()}{inner}{comma}{between()}{closing}"

    members = [
        f'"k{number}":{between()}{draw(VALUE)}' for number in range(draw(some.integers(0, 2)))
    ]
    if draw(some.booleans()):
        entries = row("[", draw(some.lists(VALUE, max_size=3)), "]")
        members.insert(draw(some.integers(0, len(members))), f'"configurations": {entries}')
    return between() + row("{", members, "}") + between()


@given(jsonc())
def test_an_edit_keeps_comments_and_values_and_is_undone(text: str) -> None:
    before = jsonc_parser.parse(text).value
    added = jsonc_edit.add(text, {"configurations": [{"name": "tool: x"}]})
    value = jsonc_parser.parse(added).value
    assert value["configurations"] == [*before.get("configurations", []), {"name": "tool: x"}]
    assert {**value, "configurations": 0} == {**before, "configurations": 0}
    for comment in ("// a {[", "/* b ]} */"):
        assert added.count(comment) == text.count(comment)
    drop = () if "configurations" in before else ("configurations",)
    removed = jsonc_edit.remove(added, ["configurations"], "tool: ", drop=drop)
    assert jsonc_parser.parse(removed).value == before
    for comment in ("// a {[", "/* b ]} */"):
        assert removed.count(comment) == text.count(comment)


@given(lines("{", "}", "[", "]", '"a"', ":", ",", "//", "/*", "*/", "\n", "1", "\\u12", "-"))
def test_only_a_line_comes_out_of_a_wrong_text(text: str) -> None:
    try:
        assert isinstance(jsonc_parser.parse(text).value, dict)
    except jsonc_parser.ParseError as error:
        assert 1 <= error.line <= text.count("\n") + 1


# --- /proc -----------------------------------------------------------------------------------

NAME = some.text(some.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=9)


@given(command=NAME, ticks=some.integers(0, 1 << 60))
def test_the_start_of_a_process_is_read_whatever_its_name(command: str, ticks: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fields = ["S", *(str(number) for number in range(18)), str(ticks), *("0",) * 30]
        (Path(folder) / "stat").write_bytes(f"7 ({command}) {' '.join(fields)}".encode())
        found = procfs.stat(Path(folder))
    assert found is not None and (found.state, found.ticks) == ("S", ticks)


@given(name=NAME.filter(lambda name: name not in (".", "..")), folder=NAME)
def test_a_mount_point_is_found_whatever_its_name(name: str, folder: str) -> None:
    def escaped(path: str) -> str:  # as the kernel writes it: fs/proc_namespace.c
        return re.sub(r"[ \t\n\\#]", lambda match: f"\\{ord(match[0]):03o}", path)

    with tempfile.TemporaryDirectory() as place:
        table = Path(place) / "mountinfo"
        point = Path("/nowhere") / name
        row = f"1 2 0:1 / {escaped(str(point))} rw - tmpfs {escaped(folder)} rw\n"
        table.write_bytes(row.encode() * 2)
        assert mounts.mount_points(Path("/nowhere"), table) == [point, point]


# --- packages --------------------------------------------------------------------------------


@given(
    lines("deb ", "deb-src ", "[arch=amd64] ", "http://deb.debian.org/debian ", "sid main", "\n")
    | lines("Types: deb\n", "URIs: http://deb.debian.org/debian\n", "Suites: a\n", "\n", " b\n"),
    some.sampled_from(["a.list", "a.sources"]),
)
def test_a_second_edit_of_apts_sources_changes_nothing(text: str, name: str) -> None:
    once = apt.edit(name, text, MIRRORS)
    assert apt.edit(name, once.text, MIRRORS).text == once.text
    assert once.text.count("\n") == text.count("\n")


@given(lines("[baseos]\n", "mirrorlist=http://x\n", "#baseurl=http://dl.rockylinux.org/a\n", "#"))
def test_a_second_edit_of_a_repository_file_changes_nothing(text: str) -> None:
    once = yum.edit("rocky.repo", text, MIRRORS)
    assert yum.edit("rocky.repo", once.text, MIRRORS).text == once.text
    assert re.findall(r"^\[.*", once.text, re.MULTILINE) == re.findall(r"^\[.*", text, re.MULTILINE)


@given(
    some.binary(max_size=80) | lines("deb http://a/ s main\n", "URIs: x\n", "\n").map(str.encode)
)
def test_a_source_of_the_system_has_an_address(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        parts = Path(name) / "sources.list.d"
        parts.mkdir()
        for path in (Path(name) / "sources.list", parts / "a.list", parts / "a.sources"):
            path.write_bytes(data)
        assert all(
            source.uris.strip() or not source.suites
            for source in apt_sources.system_sources(Path(name))
        )


@given(lines("1.20.5", "+really", "1.20.2", "-1", "~rc", "1", ":"))
def test_a_debian_version_is_one_word(text: str) -> None:
    assert "~" not in debian.upstream_version(text) or not re.match("[0-9.]", text)


# --- trees and versions ----------------------------------------------------------------------

NUMBERS = lines("v", "1", ".", "20", "2", "-rc.1", "٣", "9" * 5000, "go", "+", "\n")


@given(NUMBERS)
def test_a_version_that_is_accepted_can_be_used(text: str) -> None:
    if tree.is_version(text):
        assert text.isascii() and facts.parse(text).major < 10**9
    if releases.is_release(text):
        assert releases.newest("auto", [text]) in ("", text)
    for _, reader in versions.GO_FILES:
        found = reader(text)
        assert found is None or all(0 <= number < 10**9 for number in found)


@given(NUMBERS.map(str.encode) | some.binary(max_size=40))
def test_a_tree_of_any_content_has_a_version_or_a_failure(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name, suppress(Failure):
        folder = Path(name)
        (folder / "CHANGELOG").mkdir()
        (folder / "CHANGELOG/CHANGELOG-1.x.md").mkdir()
        (folder / "CHANGELOG/CHANGELOG-1.20.md").write_bytes(b"# v1." + data)
        assert tree.guess_version(folder, "0" * 40).startswith("v1.20.")


@given(some.integers(-(1 << 70), 1 << 70), some.floats())
def test_an_exit_is_always_printed(status: int, at: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        (run / "etcd.exit").write_text(json.dumps({"at": at, "status": status}))
        assert (
            "exited" in (text := str(exits.load(run, "etcd", 0.0, run / "log"))) or "kill" in text
        )


# --- Delve -----------------------------------------------------------------------------------

REPLY = some.recursive(
    some.none() | some.booleans() | some.integers() | WORDS,
    lambda inner: (
        some.lists(inner, max_size=2)
        | some.dictionaries(
            some.sampled_from(
                [
                    "id",
                    "result",
                    "error",
                    "State",
                    "exited",
                    "Running",
                    "Breakpoints",
                    "currentThread",
                    "Threads",
                    "Locations",
                    "Variable",
                    "kind",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the address of a server, and its answer: `reply`, in the form of Delve if `framed`."""
    answer: dict[str, Any] = {}
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError, ValueError):
                    while data := connection.recv(1 << 16):
                        reply = answer["reply"]
                        if answer["framed"]:
                            number = json.loads(data)["id"]
                            reply = {"id": number, "result": reply, "error": None}
                        connection.sendall(json.dumps(reply).encode() + b"\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}", answer
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@given(reply=REPLY, framed=some.booleans())
def test_any_answer_to_the_client_of_delve_is_a_failure_of_delve(
    server: tuple[str, dict[str, Any]], reply: Any, framed: bool
) -> None:
    address, answer = server
    answer |= {"reply": reply, "framed": framed}
    for method in ("state", "breakpoints", "stack", "functions"):
        with suppress(DelveError), Delve(address, timeout=0.05) as client:
            getattr(client, method)()
