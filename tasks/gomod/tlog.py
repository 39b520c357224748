"""A transparency log as the Go checksum database keeps it: signed trees, tiles, proofs.

Pure functions; the format is that of golang.org/x/mod/sumdb (note, tlog) and Go proposal 25530.
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
"""A whole tile is 2**HEIGHT hashes wide."""

Hashes = Callable[[int, int], bytes]
"""Returns the hash at (level, index): that of the 2**level records from index * 2**level on."""
Read = Callable[[str], bytes]
"""Returns the body of a path below the log's address; raises Failure."""


@dataclass(frozen=True)
class Signer:
    """Whose ed25519 signature counts."""

    name: str
    key: bytes
    key_id: bytes


@dataclass(frozen=True)
class Tree:
    """A signed state of the log: number of records and root hash."""

    size: int
    root: bytes


def signer(text: str) -> Signer:
    """Read a verifier key, name+hash+key. Raises Failure when it is none."""
    name, key_id, encoded = [*text.split("+", 2), "", ""][:3]
    try:
        stated, key = bytes.fromhex(key_id), base64.b64decode(encoded, validate=True)
    except ValueError:
        stated = key = b""
    if len(key) != 1 + HASH or key[0] != 1 or stated != _sha(f"{name}\n".encode() + key)[:4]:
        raise Failure(f"{text!r} is not an ed25519 verifier key (name+hash+key)")
    return Signer(name, key[1:], stated)


def open_note(note: str, known: Signer) -> Tree:
    """Return the tree of a signed note; raises Failure when the signature does not hold."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - `doit list` stays fast
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    text, _, signatures = note.rpartition("\n\n")
    public = ed25519.Ed25519PublicKey.from_public_bytes(known.key)
    for encoded in re.findall(rf"^— {re.escape(known.name)} (\S+)$", signatures, re.MULTILINE):
        try:
            raw = base64.b64decode(encoded, validate=True)
            if raw[:4] != known.key_id:
                continue
            public.verify(raw[4:], f"{text}\n".encode())
            kind, size, root = text.split("\n")[:3]
            if kind == "go.sum database tree":
                return Tree(int(size), base64.b64decode(root, validate=True))
        except (InvalidSignature, binascii.Error, ValueError):
            break
    raise Failure(f"the tree is not signed with the key of {known.name}")


def check_inclusion(record: str, index: int, tree: Tree, stored: Hashes) -> None:
    """Prove that `record` is number `index` of the tree; raises Failure when it is not."""

    def subtree(low: int, high: int) -> bytes:
        count = high - low
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return stored(level, low >> level)
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
        raise Failure(f"the log does not prove its record {index}")


def tiles(read: Read, size: int) -> Hashes:
    """Return a reader of the hashes of a tree of `size` records; it reads each tile once."""
    whole = 1 << HEIGHT
    kept: dict[str, bytes] = {}

    def tile(level: int, number: int) -> bytes:
        path = f"tile/{HEIGHT}/{level}/{_digits(number)}"
        width = min(whole, (size >> (HEIGHT * level)) - number * whole)
        if path not in kept:
            try:
                kept[path] = read(path if width == whole else f"{path}.p/{width}")
            except Failure:
                kept[path] = read(path)  # a partial tile goes once the whole one exists
        if len(kept[path]) < width * HASH:
            raise Failure(f"the log's {path} is too short")
        return kept[path]

    def stored(level: int, index: int) -> bytes:
        above, inside = divmod(level, HEIGHT)
        number, start = divmod(index << inside, whole)
        data = tile(above, number)
        row = [data[n * HASH : (n + 1) * HASH] for n in range(start, start + (1 << inside))]
        while len(row) > 1:
            row = [_node(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    return stored


def _digits(number: int) -> str:
    """Write a tile's number in groups of three digits, all but the last marked: x001/234."""
    head, last = divmod(number, 1000)
    groups = [f"{last:03}"]
    while head:
        head, last = divmod(head, 1000)
        groups.insert(0, f"x{last:03}")
    return "/".join(groups)


def _left(count: int) -> int:
    """Return the largest power of two below `count`: what the left branch holds."""
    return 1 << ((count - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return _sha(b"\x01" + left + right)


def _sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
