"""A checksum database of Go modules, signed with a key of its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from tasks.core.errors import Failure
from tasks.gomod import tlog

NAME = "sum.example.org"


class Log:
    """A transparency log made the plain way: every whole pair of hashes, level by level."""

    def __init__(self, records: Sequence[str]) -> None:
        self.levels = [[hashlib.sha256(b"\x00" + text.encode()).digest() for text in records]]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            pairs = zip(below[::2], below[1::2], strict=False)
            self.levels.append([self.node(left, right) for left, right in pairs])
        self.tree = tlog.Tree(len(records), self.root(0, len(records)))

    @staticmethod
    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    def root(self, low: int, high: int) -> bytes:
        if high - low == 1:
            return self.levels[0][low]
        half = 1
        while half * 2 < high - low:
            half *= 2
        return self.node(self.root(low, low + half), self.root(low + half, high))

    def tiles(self) -> dict[str, bytes]:
        found = {}
        for level, hashes in enumerate(self.levels[::8]):
            for start in range(0, len(hashes), 256):
                row = hashes[start : start + 256]
                path = f"tile/8/{level}/{start // 256:03}"
                found[path if len(row) == 256 else f"{path}.p/{len(row)}"] = b"".join(row)
        return found


class Database:
    """A checksum database of its own, with its own key, laid out in files as it answers."""

    def __init__(self, records: Sequence[str], name: str = NAME) -> None:
        self.name, self.records, self.log = name, list(records), Log(records)
        self.private = ed25519.Ed25519PrivateKey.generate()
        public = b"\x01" + self.private.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(f"{name}\n".encode() + public).digest()[:4]
        self.key = f"{name}+{self.key_id.hex()}+{base64.b64encode(public).decode()}"
        self.files = self.log.tiles()
        for index in range(len(records)):
            self.put(index)

    def put(self, index: int, record: str = "", signed: str = "") -> None:
        """Answer a lookup of record `index`, if wanted with other words than the log has."""
        size, root = self.log.tree.size, base64.b64encode(self.log.tree.root).decode()
        text = f"go.sum database tree\n{size}\n{root}\n"
        raw = self.key_id + self.private.sign((signed or text).encode())
        module, version = self.records[index].split(" ")[:2]
        self.files[f"lookup/{module}@{version}"] = (
            f"{index}\n{record or self.records[index]}\n{text}\n"
            f"— {self.name} {base64.b64encode(raw).decode()}\n"
        ).encode()

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise Failure(f"{path}: 404")
        return self.files[path]

    def write(self, folder: Path) -> str:
        """Lay the database out below a proxy's folder and return the proxy's address."""
        for path, content in self.files.items():
            file = folder / "sumdb" / self.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return folder.as_uri()


def record(module: str, version: str = "v1.0.0", h1: str = "") -> str:
    h1 = h1 or base64.b64encode(hashlib.sha256(module.encode()).digest()).decode()
    return f"{module} {version} h1:{h1}\n{module} {version}/go.mod h1:{h1[::-1]}\n"
