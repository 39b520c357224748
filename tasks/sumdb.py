"""The Go checksum database: a hash is believed only with a signature and a proof.

The format is that of golang.org/x/mod/sumdb (note, tlog, dirhash) and Go proposal 25530.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks import download, files, report
from tasks.failure import Failure

KNOWN = {
    "sum.golang.org": "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
}
ALIASES = {"sum.golang.google.cn": "sum.golang.org https://sum.golang.google.cn"}
_HEIGHT = 8  # tiles are 2**8 hashes wide
_SIZE = 32  # bytes of a hash

Hashes = Callable[[int, int], bytes]
"""Returns the stored hash at (level, index) of the tree."""
Read = Callable[[str], bytes]
"""Returns the body of a path below the database's address."""


@dataclass(frozen=True)
class Database:
    """A checksum database: name, where it answers, and the ed25519 key it signs with."""

    name: str
    url: str
    key: bytes
    key_id: bytes


@dataclass(frozen=True)
class Tree:
    """A signed state of the log: number of records and root hash."""

    size: int
    root: bytes


def lookup(
    goproxy_urls: Sequence[str],
    sumdb_name: str,
    module: str,
    version: str,
    cache: Path,
    *,
    timeout: float = 30.0,
    ca_bundle: str = "",
) -> str:
    """Return the verified h1: hash of `module` at `version`, or "" when the database is off.

    The proxies' own copies of the database are asked first, then the database. A verified record
    is kept in `cache`, for it can never change. Raises Failure for anything that does not verify.
    """
    if sumdb_name == "off":
        report.warn(f"{module} {version} is not verified: mirror.gosumdb is off")
        return ""
    known = database(sumdb_name)
    wanted = f"{_escape(module)}@{_escape(version)}"
    kept = cache / known.name / wanted
    if kept.is_file():
        return hash_of(kept.read_text(), module, version)
    bases = [f"{url.rstrip('/')}/sumdb/{known.name}" for url in goproxy_urls] + [known.url]
    said: list[str] = []
    for base in bases:
        try:
            record = _ask(known, wanted, _reader(base, timeout, ca_bundle))
            found = hash_of(record, module, version)
        except Failure as failure:
            said.append(failure.message)
            continue
        files.write(kept, record)
        return found
    raise Failure(
        f"no verified checksum of {module} {version}:\n" + "\n".join(said),
        "check the network, or name a proxy in mirror.goproxy that serves the checksum database",
    )


def hash_zip(path: Path) -> str:
    """Return the h1: hash of a module zip: the hash of the sorted list of its files' hashes."""
    listing = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist(), key=str.encode):
                with archive.open(name) as stream:
                    digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
                listing.update(f"{digest.hexdigest()}  {name}\n".encode())
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise Failure(f"{path.name} is not a whole zip file: {error}") from error
    return "h1:" + base64.b64encode(listing.digest()).decode()


def database(text: str) -> Database:
    """Read a GOSUMDB value: a known name, or a verifier key, each with an optional address."""
    name, _, url = ALIASES.get(text, text).partition(" ")
    name, _, rest = KNOWN.get(name, name).partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        key = base64.b64decode(encoded, validate=True)
        stated = bytes.fromhex(key_id)
    except ValueError:
        key = stated = b""
    if len(key) != 1 + _SIZE or key[0] != 1 or stated != _sha(f"{name}\n".encode() + key)[:4]:
        raise Failure(
            f"mirror.gosumdb: {text!r} has no known ed25519 key",
            "write sum.golang.org, or name+hash+key as `go help module-auth` has it",
        )
    return Database(name, url.strip().rstrip("/") or f"https://{name}", key[1:], stated)


def open_note(note: str, known: Database) -> Tree:
    """Return the tree state of a signed note; raises Failure when the signature does not hold."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - `doit list` stays fast
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    public = ed25519.Ed25519PublicKey.from_public_bytes(known.key)
    for encoded in re.findall(rf"^— {re.escape(known.name)} (\S+)$", signatures, re.MULTILINE):
        try:
            raw = base64.b64decode(encoded, validate=True)
            if raw[:4] != known.key_id:
                continue
            public.verify(raw[4:], text.encode())
        except (InvalidSignature, binascii.Error):
            break
        lines = text.splitlines()
        if len(lines) >= 3 and lines[0] == "go.sum database tree":
            return Tree(int(lines[1]), base64.b64decode(lines[2]))
    raise Failure(f"the tree that {known.name} gave is not signed with its key")


def check(record: str, index: int, tree: Tree, stored: Hashes) -> None:
    """Prove that `record` is number `index` of the tree; raises Failure when it is not."""

    def subtree(low: int, high: int) -> bytes:
        half = _split(high - low)
        if half * 2 == high - low or high - low == 1:
            level = (high - low).bit_length() - 1
            return stored(level, low >> level)
        return _node(subtree(low, low + half), subtree(low + half, high))

    def root(low: int, high: int) -> bytes:
        if high - low == 1:
            return _sha(b"\x00" + record.encode())
        middle = low + _split(high - low)
        if index < middle:
            return _node(root(low, middle), subtree(middle, high))
        return _node(subtree(low, middle), root(middle, high))

    if not 0 <= index < tree.size or root(0, tree.size) != tree.root:
        raise Failure(f"the checksum database does not prove its record {index}")


def hash_of(record: str, module: str, version: str) -> str:
    """Return the h1: hash that a record states for the content of a module version."""
    for line in record.splitlines():
        words = line.split(" ")
        if words[:2] == [module, version] and len(words) == 3 and words[2].startswith("h1:"):
            return words[2]
    raise Failure(f"the checksum database's record does not speak of {module} {version}")


def tiles(read: Read, size: int) -> Hashes:
    """Return a reader of stored hashes that fetches each tile of a tree of `size` records once."""
    kept: dict[str, bytes] = {}

    def tile(level: int, number: int) -> bytes:
        width = min(1 << _HEIGHT, (size >> (_HEIGHT * level)) - (number << _HEIGHT))
        path = f"tile/{_HEIGHT}/{level}/{_digits(number)}"
        if path not in kept:
            try:
                kept[path] = read(path if width == 1 << _HEIGHT else f"{path}.p/{width}")
            except Failure:
                kept[path] = read(path)  # a partial tile goes once the whole one exists
        if len(kept[path]) < width * _SIZE:
            raise Failure(f"the checksum database gave a short tile {path}")
        return kept[path]

    def stored(level: int, index: int) -> bytes:
        above, inside = divmod(level, _HEIGHT)
        number, start = divmod(index << inside, 1 << _HEIGHT)
        data = tile(above, number)
        row = [data[n * _SIZE : (n + 1) * _SIZE] for n in range(start, start + (1 << inside))]
        while len(row) > 1:
            row = [_node(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    return stored


def _ask(known: Database, wanted: str, read: Read) -> str:
    """Return the verified record of `module@version`."""
    try:
        number, _, rest = read(f"lookup/{wanted}").decode().partition("\n")
        record, _, note = rest.partition("\n\n")
        index = int(number)
    except ValueError as error:
        raise Failure(f"{known.name} gave an unreadable record of {wanted}") from error
    record += "\n"
    tree = open_note(note, known)
    check(record, index, tree, tiles(read, tree.size))
    return record


def _reader(base: str, timeout: float, ca_bundle: str) -> Read:
    return lambda path: download.read(f"{base}/{path}", timeout=timeout, ca_bundle=ca_bundle)


def _escape(path: str) -> str:
    return re.sub("[A-Z]", lambda match: "!" + match[0].lower(), path)


def _digits(number: int) -> str:
    """Write a tile's number in groups of three digits, all but the last marked: x001/234."""
    head, last = divmod(number, 1000)
    groups = [f"{last:03}"]
    while head:
        head, last = divmod(head, 1000)
        groups.insert(0, f"x{last:03}")
    return "/".join(groups)


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1) if count > 1 else 0


def _node(left: bytes, right: bytes) -> bytes:
    return _sha(b"\x01" + left + right)


def _sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
