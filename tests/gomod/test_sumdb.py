from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.gomod import sumdb, tlog
from tests.support.checksums import NAME, Database, Log, record

REAL_NOTE = """go.sum database tree
66327379
xWutPmGGbpWR/1iGpo4T2OIen8osXrozOwt4QinWKyg=

— sum.golang.org Az3grh7C5yhBIx4LGre+Cxy+IpZfAQbghxRv7p159h49g8+zHJS+EDmfu3UMGCrx93kygGV0LR6jZIFivT37qTUmIgM=
"""  # noqa: E501 - as sum.golang.org signed it


def records(count: int) -> list[str]:
    return [record(f"example.org/m{number}") for number in range(count)]


def verified(database: Database, index: int) -> str:
    key = "@".join(database.records[index].split(" ")[:2])
    return sumdb.verified_record(tlog.signer(database.key), key, database.read)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 255, 256, 257, 512, 600])
def test_records_anywhere_in_a_tree_are_verified(size: int) -> None:
    database = Database(records(size))
    for index in sorted({0, size // 2, size - 1, min(size - 1, 255), min(size - 1, 256)}):
        assert verified(database, index) == database.records[index]


def test_a_tree_of_three_levels_of_tiles_is_verified() -> None:
    log = Log([f"{number}\n" for number in range(66_000)])
    tiles = log.tiles()
    assert len(log.levels[::8]) == 3
    stored = tlog.tiles(tiles.__getitem__, log.tree.size)
    for index in (0, 255, 256, 65_535, 65_536, 65_999):
        tlog.check_inclusion(f"{index}\n", index, log.tree, stored)
        with pytest.raises(Failure):
            tlog.check_inclusion(f"{index + 1}\n", index, log.tree, stored)


@pytest.mark.parametrize(
    ("number", "path"), [(5, "005"), (999, "999"), (1000, "x001/000"), (1_234_067, "x001/x234/067")]
)
def test_tile_numbers_have_the_format_of_go(number: int, path: str) -> None:
    assert tlog._digits(number) == path


def test_a_full_tile_replaces_a_partial_one() -> None:
    database = Database(records(300))
    database.files["tile/8/0/001"] = database.files.pop("tile/8/0/001.p/44") + bytes(32 * 212)
    assert verified(database, 299) == database.records[299]


def test_a_note_of_sum_golang_org_is_verified() -> None:
    trusted, url = sumdb.database("sum.golang.org")
    assert url == "https://sum.golang.org"
    assert tlog.open_note(REAL_NOTE, trusted).size == 66_327_379


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("66327379", "66327378"),
        ("xWut", "xWuT"),
        ("Az3grh7C5", "Az3grh7C6"),
        ("Az3grh7C5", "Az3grH7C5"),
        ("— sum.golang.org", "— sum.example.org"),
        ("— sum.golang.org", "-- sum.golang.org"),
        ("Az3g", "!"),
        ("\n\n", "\n"),
    ],
)
def test_a_changed_note_is_refused(old: str, new: str) -> None:
    assert old in REAL_NOTE
    with pytest.raises(Failure, match="not signed"):
        tlog.open_note(REAL_NOTE.replace(old, new), sumdb.database("sum.golang.org")[0])


def test_a_record_that_the_log_does_not_have_is_refused() -> None:
    database = Database(records(300))
    database.put(7, record("example.org/m7", h1="Z" * 43 + "="))
    with pytest.raises(Failure, match=r"record 7$"):
        verified(database, 7)


def test_a_record_with_a_wrong_number_is_refused() -> None:
    database = Database(records(300))
    path = "lookup/example.org/m7@v1.0.0"
    for number in (b"8", b"300", b"-1", b"x"):
        answer = database.files[path].partition(b"\n")[2]
        database.files[path] = number + b"\n" + answer
        with pytest.raises(Failure):
            verified(database, 7)


def test_a_signature_of_another_tree_is_refused() -> None:
    database = Database(records(3))
    database.put(1, signed="go.sum database tree\n3\nanother\n")
    with pytest.raises(Failure, match="not signed"):
        verified(database, 1)


@pytest.mark.parametrize(
    ("tile", "index"),
    [
        ("tile/8/0/000", 0),
        ("tile/8/0/001.p/44", 0),
        ("tile/8/0/001.p/44", 298),
        ("tile/8/1/000.p/1", 299),
    ],
)
def test_a_changed_or_short_tile_is_refused(tile: str, index: int) -> None:
    database = Database(records(300))
    data = database.files[tile]
    database.files[tile] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(Failure, match="does not prove"):
        verified(database, index)
    database.files[tile] = data[:-32]
    with pytest.raises(Failure, match="too short"):
        verified(database, index)


@pytest.fixture
def chain(tmp_path: Path) -> tuple[Database, str, Path]:
    database = Database([*records(5), record("example.org/Upper", "v1.2.3")])
    database.files["lookup/example.org/!upper@v1.2.3"] = database.files.pop(
        "lookup/example.org/Upper@v1.2.3"
    )
    return database, database.write(tmp_path / "proxy"), tmp_path / "cache"


def test_a_lookup_uses_the_first_proxy_that_has_it_and_is_cached(
    chain: tuple[Database, str, Path], tmp_path: Path
) -> None:
    database, proxy, cache = chain
    proxies = [(tmp_path / "none").as_uri(), proxy]
    for urls in (proxies, []):
        module_hash = sumdb.lookup(urls, database.key, "example.org/Upper", "v1.2.3", cache)
        assert module_hash == database.records[5].split()[2]


def test_without_a_proxy_the_database_itself_is_used(chain: tuple[Database, str, Path]) -> None:
    database, proxy, cache = chain
    gosumdb = f"{database.key} {proxy}/sumdb/{NAME}"
    assert sumdb.lookup([], gosumdb, "example.org/m1", "v1.0.0", cache).startswith("h1:")


def test_a_record_that_cannot_be_verified_is_not_cached(chain: tuple[Database, str, Path]) -> None:
    _, proxy, cache = chain
    other = Database(records(5))
    gosumdb = f"{other.key} {proxy}/sumdb/{NAME}"
    with pytest.raises(Failure, match=r"no verified .*example\.org/m1 v1\.0\.0") as caught:
        sumdb.lookup([proxy], gosumdb, "example.org/m1", "v1.0.0", cache)
    assert "not signed" in caught.value.message
    assert "mirror.goproxy" in caught.value.hint
    assert not cache.exists()


def test_a_database_that_is_off_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sumdb.lookup([], "off", "example.org/m", "v1.0.0", tmp_path) == ""
    assert "not verified: mirror.gosumdb" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "sum.example.org", "a+b", "a+00000000+AAAA", "sum.golang.org+033de0ae+Ac4z"]
)
def test_a_database_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(Failure, match=r"mirror\.gosumdb"):
        sumdb.database(text)


def test_the_database_for_china_is_the_same_one() -> None:
    trusted, url = sumdb.database("sum.golang.google.cn")
    assert (trusted.name, url) == ("sum.golang.org", "https://sum.golang.google.cn")


def test_a_zip_has_the_same_hash_as_in_go(tmp_path: Path) -> None:
    path = tmp_path / "m.zip"
    prefix = "example.org/m@v1.0.0"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{prefix}/go.mod", "module example.org/m\n")
        archive.writestr(f"{prefix}/a/ä.txt", "hello\n")
        archive.writestr(f"{prefix}/B.txt", "")
    assert sumdb.hash_zip(path) == "h1:BwHd1vcA67+R7d6DWTqQe8/9Y9hbg0R0u543y95IabE="
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(Failure, match=r"m\.zip is not a complete zip"):
        sumdb.hash_zip(path)
