"""Archives of any content: only a Failure comes out, and nothing is written outside the folder."""

from __future__ import annotations

import base64
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tasks.core.errors import Failure
from tasks.gomod import modzip, sumdb, tlog
from tasks.system import resources, unpack
from tests.support.checksums import Database, record

PREFIX = "m@v1/"
NAMES = ["a", "a/b", "../x", "/x", "a\n", "a\0b", "a//b", ".", "", "ü", ".git/config", "n" * 300]
TYPES = [
    *(tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CONTTYPE),
    *(tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"Z"),
]


@pytest.fixture(autouse=True, scope="module")
def roomy() -> object:
    """Let no test depend on the free disk space."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resources, "require_disk", lambda *_: None)
        yield


def tar_of(*members: tuple[str, bytes, str, dict[str, str]]) -> bytes:
    """Return a tar archive of (name, type, target of the link, extended headers) members."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, target, headers in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.pax_headers = kind, target, headers
            info.size = 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"abc"))
    return data.getvalue()


def unpacked(data: bytes) -> float:
    """Unpack a tar archive, and check that only its folder was written to."""
    with tempfile.TemporaryDirectory() as name:
        archive, folder = Path(name) / "a.tar", Path(name) / "inner/folder"
        archive.write_bytes(data)
        try:
            return unpack.extract(archive, folder, strip=0)
        finally:
            assert {path.name for path in Path(name).iterdir()} <= {"a.tar", "inner"}
            inner = folder.parent
            assert not inner.exists() or {path.name for path in inner.iterdir()} <= {"folder"}
            for path in folder.rglob("*"):
                assert path.is_symlink() or path.is_file() or path.is_dir()


FILE = tarfile.REGTYPE
ODD_TARS = {
    "NUL in a name": tar_of(("x", FILE, "", {"path": "a\0b"})),
    "NUL in a link": tar_of(("x", tarfile.SYMTYPE, "y", {"linkpath": "a\0b"})),
    "a file and a folder": tar_of(("a", FILE, "", {}), ("a/b", FILE, "", {})),
    "a long name": tar_of(("n" * 300, FILE, "", {})),
    "a negative size": tar_of(("x", FILE, "", {"size": "-5"})),
    "a hard link to itself": tar_of(("x", tarfile.LNKTYPE, "x", {})),
    "a link to itself": tar_of(("x", tarfile.SYMTYPE, "x", {}), ("y", tarfile.LNKTYPE, "x", {})),
    "a device": tar_of(("x", tarfile.CHRTYPE, "", {})),
    "a pipe": tar_of(("x", tarfile.FIFOTYPE, "", {})),
    "headers of headers": tar_of(("x", FILE, "", {"a": "b"}))[:1024] * 2000,
    "an absolute link": tar_of(("x", tarfile.SYMTYPE, "/etc/passwd", {})),
}


@pytest.mark.parametrize("data", ODD_TARS.values(), ids=ODD_TARS)
def test_an_odd_tar_is_refused(data: bytes) -> None:
    with pytest.raises(Failure, match=r"a\.tar"):
        unpacked(data)


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e400"])
def test_a_time_that_is_not_finite_does_not_count(time: str) -> None:
    with suppress(Failure):
        assert unpacked(tar_of(("x", FILE, "", {"mtime": time}))) == 0.0


def test_hard_links_count_with_the_size_of_their_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "LIMIT", 8)
    links = [(f"y{number}", tarfile.LNKTYPE, "x", dict[str, str]()) for number in range(3)]
    with pytest.raises(Failure, match="larger"):
        unpacked(tar_of(("x", FILE, "", {}), *links))


MEMBERS = some.tuples(
    some.sampled_from(NAMES),
    some.sampled_from(TYPES),
    some.sampled_from(NAMES),
    some.dictionaries(
        some.sampled_from(["path", "linkpath", "size", "mtime", "GNU.sparse.size", "uid"]),
        some.sampled_from([*NAMES, "-1", "9" * 30, "nan"]),
        max_size=2,
    ),
)


@given(some.lists(MEMBERS, max_size=4), some.integers(0, 4000), some.binary(max_size=12))
def test_any_tar_stays_in_its_folder(
    members: list[tuple[str, bytes, str, dict[str, str]]], at: int, change: bytes
) -> None:
    data = tar_of(*members)
    with suppress(Failure):
        unpacked(data[:at] + change + data[at + len(change) :])


def zip_of(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in files.items():
            zipped.writestr(PREFIX + name, text)
    return data.getvalue()


def unzipped(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        archive, root = Path(name) / "m.zip", Path(name) / "root"
        archive.write_bytes(data)
        for read in (
            lambda: sumdb.hash_zip(archive),
            lambda: modzip.unpack(archive, PREFIX, root, lambda _name, _start: False),
        ):
            with suppress(Failure):
                read()
        assert {path.name for path in Path(name).iterdir()} <= {"m.zip", "root"}


def _patched(position: int, value: int) -> bytes:
    """Change a 16-bit field of both headers: 6 is the flags, 8 the compression method."""
    data = bytearray(zip_of(a="text"))
    central = data.index(b"PK\x01\x02")
    for at in (position, central + position + 2):
        data[at : at + 2] = value.to_bytes(2, "little")
    return bytes(data)


ODD_ZIPS = {
    "encrypted": _patched(6, 1),
    "an unknown compression": _patched(8, 97),
    "bzip2 that is not": _patched(8, 12),
    "lzma that is not": _patched(8, 14),
    "names that are not UTF-8": _patched(6, 0x800).replace(b"/a", b"/\xff"),
    "cut off": zip_of(a="text")[:-30],
    "zero bytes": b"",
}


@pytest.mark.parametrize("data", ODD_ZIPS.values(), ids=ODD_ZIPS)
@pytest.mark.parametrize("kind", ["hash", "unpack"])
def test_an_odd_zip_is_refused(tmp_path: Path, data: bytes, kind: str) -> None:
    archive = tmp_path / "m.zip"
    archive.write_bytes(data)
    attempts: dict[str, Callable[[], object]] = {
        "hash": lambda: sumdb.hash_zip(archive),
        "unpack": lambda: modzip.unpack(archive, PREFIX, tmp_path / "r", lambda _name, _b: False),
    }
    with pytest.raises(Failure, match=r"m\.zip"):
        attempts[kind]()


@given(some.integers(0, 200), some.binary(max_size=8))
def test_any_zip_stays_in_its_folder(at: int, change: bytes) -> None:
    data = zip_of(a="text", **{"b/c": "more"})
    unzipped(data[:at] + change + data[at + len(change) :])


DATABASE = Database([record(f"example.org/m{number}") for number in range(5)])


TRUSTED = tlog.signer(DATABASE.key)


@given(some.integers(0, 400), some.binary(min_size=1, max_size=8))
def test_a_changed_answer_of_the_checksum_database_proves_nothing_else(
    at: int, change: bytes
) -> None:
    key = "@".join(DATABASE.records[2].split(" ")[:2])

    def read(path: str) -> bytes:
        data = DATABASE.read(path)
        return data[:at] + change + data[at + len(change) :] if path.startswith("lookup") else data

    with suppress(Failure):
        proved = sumdb.verified_record(TRUSTED, key, read)
        assert proved in DATABASE.records


@given(
    some.text(max_size=60) | some.binary(max_size=40).map(lambda x: base64.b64encode(x).decode())
)
def test_no_other_text_is_a_key_of_the_checksum_database(text: str) -> None:
    with pytest.raises(Failure):
        tlog.signer(text)
    with pytest.raises(Failure):
        tlog.open_note(text, TRUSTED)
