"""Source text of a binary: the files it was built from, although the tree was edited since.

The digests of the source files are stored next to the binary. git has the text of most files; an
edited file, which git does not have, is stored too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.build import digest_list
from tasks.core.errors import Failure
from tasks.kubernetes.tree import Checkout, load_checkout
from tasks.settings.load import Settings
from tasks.system import files, state
from tasks.system.git import Git


@dataclass(frozen=True)
class SourceText:
    """The source files of a binary; paths are relative to the tree."""

    tree: Path
    repository: str
    """Git folder in the workspace, for a tree without a repository."""
    blobs: dict[str, str]
    """Blob digest by path."""
    edited: dict[str, str]
    """Text by path of the files that git does not have."""

    def read(self, path: str) -> str:
        """Return the text of a file; empty if it is not known."""
        if path in self.edited or path not in self.blobs or not self.tree.is_dir():
            return self.edited.get(path, "")
        git = Git(self.tree, self.repository)
        return git.run("cat-file", "blob", self.blobs[path], check=False).stdout

    def relative(self, path: str) -> str:
        """Return the path in the tree of a file that the debug information names; empty if none.

        vendor/k8s.io has links to the folders of staging/src/k8s.io.
        """
        parts = path.strip("/").split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        staging = "staging/src/" + path.rpartition("/vendor/")[2]
        return next((end for end in (*ends, staging) if end in self.blobs), "")

    def package(self, path: str) -> list[str]:
        """Return the Go files in the folder of a file, this file first."""
        folder = path.rpartition("/")[0]
        files_ = [p for p in self.blobs if p.rpartition("/")[0] == folder and p.endswith(".go")]
        return sorted(files_, key=lambda other: (other != path, other))


def remember(settings: Settings, binary: Path, digests: str, *, again: bool = False) -> None:
    """Store the source text of a binary that was built from the checkout with these digests.

    If it is stored already, it is stored only with `again`. A full disk stops nothing.
    """
    if again or not is_kept(binary):
        with suppress(Failure):
            keep(binary, load_checkout(settings.paths.lock), digests)


def keep(binary: Path, checkout: Checkout, digests: str) -> None:
    """Store the source text of a binary, which has these source digests, next to it.

    A file that git does not have is stored only while it still has its digest.
    """
    listed = digest_list.parse_digests(digests)
    blobs = {path: blob for path, blob in listed.items() if not path.startswith("$")}
    asked = "".join(f"{blob}\n" for blob in blobs.values())
    answer = checkout.git.run("cat-file", "--batch-check=", "--buffer", stdin=asked, check=False)
    lost = {line.removesuffix(" missing") for line in answer.stdout.splitlines() if line}
    unknown = [path for path, blob in blobs.items() if blob in lost or answer.code]
    edited = dict(_with_digest(checkout.tree, unknown, blobs))
    text = SourceText(checkout.tree, checkout.repository, blobs, edited)
    files.write_json(_path(binary), {**asdict(text), "tree": str(checkout.tree)})


def is_kept(binary: Path) -> bool:
    """Return whether the source text of a binary is stored."""
    return _path(binary).is_file()


def load(binary: Path) -> SourceText | None:
    """Return the source text of a binary; None if it was built without, by an older stepkube."""
    return state.load(_path(binary), SourceText)


def _path(binary: Path) -> Path:
    return binary.with_name(f".{binary.name}.source")


def _with_digest(
    tree: Path, paths: Iterable[str], blobs: dict[str, str]
) -> Iterable[tuple[str, str]]:
    """Yield path and text of the files whose content has its blob digest."""
    for path in paths:
        try:
            data = (tree / path).read_bytes()
        except OSError:
            continue
        blob = blobs[path]
        algorithm = "sha1" if len(blob) == 40 else "sha256"
        if hashlib.new(algorithm, b"blob %d\0" % len(data) + data).hexdigest() == blob:
            yield path, data.decode(errors="replace")
