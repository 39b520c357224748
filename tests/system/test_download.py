from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from tasks.core.errors import Failure
from tasks.system import download, resources
from tests.support.servers import authority, served

BODY = bytes(range(256)) * 4096


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves BODY in the way that the path names, and records path and range of each request."""

    asked: list[tuple[str, str | None]]
    breaks: int

    def do_GET(self) -> None:
        byte_range = self.headers.get("Range")
        self.asked.append((self.path, byte_range))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = int(byte_range[6:-1]) if byte_range and self.path != "/plain" else 0
        if start >= len(BODY):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        length = 1 << 60 if self.path == "/huge" else len(BODY) - start
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.path == "/stuck":
            self.wfile.write(BODY[:1000])
            self.wfile.flush()
            self.server.stop.wait(20)  # type: ignore[attr-defined]
        elif self.path == "/breaking" and len(self.asked) <= self.breaks:
            self.wfile.write(BODY[start : start + 300_000])
        elif self.path != "/huge":
            self.wfile.write(BODY[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.asked, Handler.breaks = [], 2
    with serving(Handler) as address:
        yield address


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        listening.stop = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.stop.set()  # type: ignore[attr-defined]
        listening.shutdown()
        thread.join()


def right(path: Path) -> None:
    if path.read_bytes() != BODY:
        raise Failure("it is not the file expected")


def fetch(urls: str | list[str], target: Path, timeout: float = 5.0) -> str:
    return download.fetch(urls, target, verify=right, timeout=timeout, key="mirror.go")


def part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


class Changing(http.server.BaseHTTPRequestHandler):
    """Closes its first answer early, then serves another file of the same or another length."""

    asked: list[tuple[str | None, str | None]]

    def do_GET(self) -> None:
        byte_range, state = self.headers.get("Range"), self.headers.get("If-Range")
        self.asked.append((byte_range, state))
        first, kind = len(self.asked) == 1, unquote(self.path[1:])
        more = b"more" if kind == "size" else b""
        body = BODY if kind == "same" else bytes(reversed(BODY)) + more
        body = b"x" * len(BODY) if first and kind != "same" else body
        etag = '"1"' if first or kind == "same" else '"2"'
        matches = kind == "ignores If-Range" or state in (None, etag)
        start = int(byte_range[6:-1]) if byte_range and matches else 0
        self.send_response(206 if start else 200)
        if kind != "size":
            self.send_header("ETag", etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : start + 300_000] if first else body[start:])

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("same", [(None, None), ("bytes=300000-", '"1"')]),
        ("checks If-Range", [(None, None), ("bytes=300000-", '"1"')]),
        ("ignores If-Range", [(None, None), ("bytes=300000-", '"1"'), (None, None)]),
        ("size", [(None, None), ("bytes=300000-", None), (None, None)]),
    ],
)
def test_a_file_that_changes_between_two_attempts_is_never_mixed(
    tmp_path: Path, kind: str, asked: list[tuple[str | None, str | None]]
) -> None:
    Changing.asked = []
    verified: list[bytes] = []
    with serving(Changing) as address:
        download.fetch(
            f"{address}/{quote(kind)}",
            tmp_path / "file",
            timeout=60,
            verify=lambda path: verified.append(path.read_bytes()),
        )
    assert Changing.asked == asked
    last = BODY if kind == "same" else bytes(reversed(BODY)) + (b"more" if kind == "size" else b"")
    assert verified == [last]
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("path", ["/file", "/plain"])
@pytest.mark.parametrize("begun", [None, BODY[:5000], b"from another file", BODY, BODY + b"more"])
def test_the_file_is_right_after_every_kind_of_partial_file(
    server: str, tmp_path: Path, path: str, begun: bytes | None
) -> None:
    target = tmp_path / "new" / "file"
    if begun is not None:
        target.parent.mkdir()
        part(target).write_bytes(begun)
    assert fetch(server + path, target) == server + path
    assert target.read_bytes() == BODY
    assert [item.name for item in target.parent.iterdir()] == ["file"]


def test_a_partial_file_is_continued(server: str, tmp_path: Path) -> None:
    part(tmp_path / "file").write_bytes(BODY[:5000])
    fetch(server + "/file", tmp_path / "file")
    assert Handler.asked == [("/file", "bytes=5000-")]


def test_a_right_file_is_kept_and_a_wrong_one_replaced(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"wrong")
    for _ in range(2):
        fetch(server + "/file", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == BODY
    assert Handler.asked == [("/file", None)]


def test_a_broken_transfer_continues_while_it_makes_progress(server: str, tmp_path: Path) -> None:
    fetch(server + "/breaking", tmp_path / "file")
    assert [byte_range for _, byte_range in Handler.asked] == [
        None,
        "bytes=300000-",
        "bytes=600000-",
    ]


def test_a_transfer_that_keeps_breaking_keeps_its_bytes(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TRIES", 2)
    with pytest.raises(Failure, match=f"600000 of {len(BODY)} bytes"):
        fetch(server + "/breaking", tmp_path / "file")
    assert part(tmp_path / "file").read_bytes() == BODY[:600_000]


def test_the_next_address_is_tried(server: str, tmp_path: Path) -> None:
    assert fetch([server + "/missing", server + "/file"], tmp_path / "file").endswith("/file")


def test_a_failure_names_each_address_and_the_setting(server: str, tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        fetch([server + "/missing", "http://127.0.0.1:1/x"], tmp_path / "file")
    assert "/missing: the server answered 404" in caught.value.message
    assert "http://127.0.0.1:1/x: " in caught.value.message
    assert "mirror.go" in caught.value.hint
    assert Handler.asked == [("/missing", None)]


def test_a_wrong_file_is_removed(server: str, tmp_path: Path) -> None:
    def wrong(path: Path) -> None:
        assert path.read_bytes() == BODY
        raise Failure("its hash is wrong")

    with pytest.raises(Failure, match=re.escape(f"{server}/file: its hash is wrong")):
        download.fetch(server + "/file", tmp_path / "file", verify=wrong, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_a_stuck_transfer_stops_after_its_timeout(server: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"/stuck: .*timed out"):
        fetch(server + "/stuck", tmp_path / "file", timeout=0.3)
    assert not (tmp_path / "file").exists()


def test_a_full_disk_is_refused_before_a_byte_is_written(server: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=f"GiB in {tmp_path}"):
        fetch(server + "/huge", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_file_address_works(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(BODY)
    fetch((tmp_path / "source").as_uri(), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    with pytest.raises(Failure, match=r"/none\b"):
        fetch((tmp_path / "none").as_uri(), tmp_path / "other")


def test_small_documents_are_bounded(server: str) -> None:
    assert download.read(server + "/file", timeout=60) == BODY
    with pytest.raises(Failure, match=r"/file: .*\b100 bytes"):
        download.read(server + "/file", timeout=60, limit=100)
    with pytest.raises(Failure, match="404"):
        download.read(server + "/missing", timeout=60)


@pytest.mark.parametrize("url", ["mirror.example.org/x", "http://[::1/x", "http://u:p@[::1/x"])
def test_a_wrong_address_is_a_failure_without_the_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(Failure, match="is not an address") as caught:
        download.read(url, timeout=1)
    assert "https://" in caught.value.hint and "u:p" not in str(caught.value)


def test_a_missing_ca_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"none\.pem") as caught:
        download.read("https://127.0.0.1:1/", timeout=1, ca_bundle=str(tmp_path / "none.pem"))
    assert "mirror.ca_bundle" in caught.value.hint


def test_a_redirect_to_https_is_followed_and_one_to_http_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Redirecting(Handler):
        location = ""

        def do_GET(self) -> None:
            if self.path != "/moved":
                super().do_GET()
                return
            self.send_response(302)
            self.send_header("Location", self.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Redirecting.asked = []
    bundle, pair = authority(tmp_path)
    with served(Redirecting) as plain, served(Redirecting, pair) as secure:
        Redirecting.location = f"https://127.0.0.1:{secure}/file"
        moved = f"http://127.0.0.1:{plain}/moved"
        assert download.read(moved, timeout=60, ca_bundle=str(bundle)) == BODY
        Redirecting.location = f"http://127.0.0.1:{plain}/file"
        moved = f"https://127.0.0.1:{secure}/moved"
        with pytest.raises(Failure, match=r"/moved: .*http://127"):
            download.read(moved, timeout=60, ca_bundle=str(bundle))
    assert Redirecting.asked == [("/file", None)]


def test_sizes_are_in_gib_with_a_reserve() -> None:
    assert download._gib(resources.GIB) == 1.1
    assert download._gib(-1) == 0.1


@pytest.mark.parametrize(
    ("paths", "kind"),
    [(["/missing"], download.NotFound), (["/missing", ""], download.NotFound), ([""], Failure)],
)
def test_a_file_that_a_server_does_not_have_is_another_failure(
    server: str, tmp_path: Path, paths: list[str], kind: type[Failure]
) -> None:
    urls = [server + path if path else "http://127.0.0.1:1/answered 404" for path in paths]
    with pytest.raises(Failure) as caught:
        fetch(urls, tmp_path / "file")
    assert type(caught.value) is kind


def test_a_missing_local_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(download.NotFound):
        download.read((tmp_path / "none").as_uri(), timeout=1.0)
