"""Transparency log of the Go checksum database: signed trees, tiles, inclusion proofs.

Pure functions. The format is defined by golang.org/x/mod/sumdb (note, tlog) and Go proposal 25530.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from tasks.core.errors import Failure

HASH = 32
"""Bytes of a hash."""
HEIGHT = 8
"""A full tile has 2**HEIGHT hashes in a row."""

Hashes = Callable[[int, int], bytes]
"""Returns the hash at (level, index): of the 2**level records that start at index * 2**level."""
Read = Callable[[str], bytes]
"""Returns the content of a path below the log's address; raises Failure."""


@dataclass(frozen=True)
class Signer:
    """An ed25519 key whose signatures are trusted."""

    name: str
    key: bytes
    key_id: bytes


@dataclass(frozen=True)
class Tree:
    """A signed state of the log: its number of records and its root hash."""

    size: int
    root: bytes


def signer(text: str) -> Signer:
    """Parse a verifier key, name+hash+key. Raises Failure if it is not valid."""
    name, key_id, encoded = [*text.split("+", 2), "", ""][:3]
    try:
        key_hash, key = bytes.fromhex(key_id), base64.b64decode(encoded, validate=True)
    except ValueError:
        key_hash = key = b""
    if len(key) != 1 + HASH or key[0] != 1 or key_hash != _sha(f"{name}\n".encode() + key)[:4]:
        raise Failure(f"{text!r} is not an ed25519 verifier key (name+hash+key)")
    return Signer(name, key[1:], key_hash)


def open_note(note: str, trusted: Signer) -> Tree:
    """Return the tree of a signed note. Raises Failure if the signature is not valid."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - `doit list` stays fast
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    text, _, signatures = note.rpartition("\n\n")
    public = ed25519.Ed25519PublicKey.from_public_bytes(trusted.key)
    for encoded in re.findall(rf"^— {re.escape(trusted.name)} (\S+)$", signatures, re.MULTILINE):
        try:
            raw = base64.b64decode(encoded, validate=True)
            if raw[:4] != trusted.key_id:
                continue
            public.verify(raw[4:], f"{text}\n".encode())
            kind, size, root = text.split("\n")[:3]
            if kind == "go.sum database tree":
                return Tree(int(size), base64.b64decode(root, validate=True))
        except (InvalidSignature, binascii.Error, ValueError):
            break
    raise Failure(f"the tree is not signed with the key of {trusted.name}")


def check_inclusion(record: str, index: int, tree: Tree, hashes: Hashes) -> None:
    """Verify that `record` has number `index` in the tree. Raises Failure if it does not."""

    def subtree(low: int, high: int) -> bytes:
        count = high - low
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return hashes(level, low >> level)
        middle = low + _left(count)
        return _node(subtree(low, middle), subtree(middle, high))

    def root(low: int, high: int) -> bytes:
        if high - low == 1:
            return _sha(b"\x00" + record.encode())
        middle = low + _left(high - low)
        if index < middle:
            return _node(root(low, middle), subtree(middle, high))
        return _node(subtree(low, middle), root(middle, high))

    if not 0 <= index < tree.size or root(0, tree.size) != tree.root:
        raise Failure(f"the log does not prove record {index}")


def tiles(read: Read, size: int) -> Hashes:
    """Return a function that reads hashes of a tree of `size` records, and each tile only once."""
    full = 1 << HEIGHT
    cache: dict[str, bytes] = {}

    def tile(level: int, number: int) -> bytes:
        path = f"tile/{HEIGHT}/{level}/{_digits(number)}"
        width = min(full, (size >> (HEIGHT * level)) - number * full)
        if path not in cache:
            try:
                cache[path] = read(path if width == full else f"{path}.p/{width}")
            except Failure:
                cache[path] = read(path)  # the full tile replaces a partial one
        if len(cache[path]) < width * HASH:
            raise Failure(f"the log's {path} is too short")
        return cache[path]

    def hash_at(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        number, start = divmod(index << height, full)
        data = tile(tile_level, number)
        row = [data[n * HASH : (n + 1) * HASH] for n in range(start, start + (1 << height))]
        while len(row) > 1:
            row = [_node(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    return hash_at


def _digits(number: int) -> str:
    """Return a tile's number in groups of three digits, all but the last with an x: x001/234."""
    head, last = divmod(number, 1000)
    groups = [f"{last:03}"]
    while head:
        head, last = divmod(head, 1000)
        groups.insert(0, f"x{last:03}")
    return "/".join(groups)


def _left(count: int) -> int:
    """Return the largest power of two below `count`: the size of the left branch."""
    return 1 << ((count - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return _sha(b"\x01" + left + right)


def _sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
