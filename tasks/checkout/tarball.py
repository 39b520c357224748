"""The origin that is one file: a source archive, local or downloaded, verified before it is used.

Any archive of a whole tree will do: kubernetes-src.tar.gz of a release, what GitHub makes of a
tag, or one of your own.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.checkout.base import (
    TREE_GIB,
    NoSuchVersion,
    Unreachable,
    commit_everything,
    slug,
    start_repository,
    stated_commit,
    version_script,
)
from tasks.core import console
from tasks.core.errors import Failure
from tasks.core.redact import mask
from tasks.kubernetes.facts import parse
from tasks.kubernetes.releases import satisfies
from tasks.kubernetes.tree import Checkout, guess_version, is_version, require_kubernetes
from tasks.settings.load import Settings
from tasks.settings.paths import user_path
from tasks.system import download, files, network, resources, unpack

_SHA256, _SHA512 = 64, 128
_CHECKSUM = "[0-9a-fA-F]{64}|[0-9a-fA-F]{128}"
_LATEST = 4102444800.0  # 2100: what an archive claims beyond that is no date git takes
_RELEASE = r"v?(\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)"


class Tarball:
    """A source archive: a local file or an http(s) address."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.place = settings.origin.tarball
        self.name = f"the archive {mask(self.place)}"
        self._key = settings.source("origin.tarball")

    def checkout(self, wanted: str) -> Checkout:
        """Verify and unpack the archive, and make a git repository of it."""
        _require_checksum(self.settings.origin.tarball_sha256)
        archive = self._local() or self._downloaded()
        digest = files.digest_file(archive)
        with files.locked(self.settings.paths.source / ".tarball.lock"):
            folder = self._known(digest)
            if folder is None:
                folder = self._unpack(archive, digest, wanted)
        version, commit = self._version(folder, archive, wanted)
        if self._local() is None:
            archive.unlink(missing_ok=True)
        stamp = self.settings.build.version_stamp or version
        return Checkout(folder, stamp, commit, self.name, wanted)

    def _local(self) -> Path | None:
        """Return the archive when it is a file of this machine, checked if there is a checksum."""
        if "://" in self.place and not self.place.startswith("file://"):
            network.require_url(self.place, self._key)
            return None
        local = unquote(urlsplit(self.place).path) if "file://" in self.place else self.place
        path = user_path(local)
        if not path.is_file():
            raise Failure(f"{self._key}: there is no file {path}", "name an archive that exists")
        expected = self.settings.origin.tarball_sha256
        for ending in () if expected else (".sha256", ".sha512"):
            beside = path.with_name(path.name + ending)
            if beside.is_file():
                expected = _stated(beside.read_text(errors="replace"), path.name, str(beside))
        if expected:
            self._verify(path, expected)
        return path

    def _downloaded(self) -> Path:
        """Return the downloaded archive. Raises Unreachable; without a checksum it is refused."""
        origin, mirror = self.settings.origin, self.settings.mirror
        name = slug(unquote(urlsplit(self.place).path).rsplit("/", 1)[-1])
        expected = origin.tarball_sha256 or self._stated_beside(name)
        folder = self.settings.paths.cache / "downloads"
        target = folder / f"{files.digest(self.place)[:8]}-{name}"
        wrong: list[Failure] = []

        def verify(path: Path) -> None:
            try:
                self._verify(path, expected)
            except Failure as failure:
                wrong[:] = [failure]
                raise

        try:
            download.fetch(
                self.place,
                target,
                verify=verify,
                timeout=mirror.timeout,
                ca_bundle=mirror.ca_bundle,
                key="origin.tarball",
            )
        except Failure as failure:
            if wrong:
                raise wrong[0] from failure
            raise Unreachable(failure.message, failure.hint) from failure
        return target

    def _stated_beside(self, name: str) -> str:
        mirror, said = self.settings.mirror, list[str]()
        for ending in (".sha256", ".sha512"):
            parts = urlsplit(self.place)
            beside = parts._replace(path=parts.path + ending).geturl()
            try:
                text = download.read(
                    beside, timeout=mirror.timeout, ca_bundle=mirror.ca_bundle, limit=1 << 20
                ).decode(errors="replace")
            except Failure as failure:
                said.append(failure.message)
                continue
            return _stated(text, name, beside)
        if not any(download.is_not_found(line) for line in said):
            raise Unreachable("\n".join(said))
        raise Failure(
            f"{self._key}: nothing says what {mask(self.place)} has to be, so it is not used\n"
            + "\n".join(said),
            "give its checksum in origin.tarball_sha256, or download and check it yourself and"
            " name the local file",
        )

    def _verify(self, path: Path, expected: str) -> None:
        kinds = {_SHA256: "sha256", _SHA512: "sha512"}
        kind = kinds[len(expected)]
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, kind).hexdigest()
        if found != expected.lower():
            raise Failure(
                f"{self._key}: the {kind} of {mask(self.place)} is {found}, not {expected}",
                "get the archive anew, or correct the checksum",
            )

    def _known(self, digest: str) -> Path | None:
        """Return the tree that was made of this very archive before."""
        trees = self.settings.paths.source.glob(f"*-tarball-{digest[:12]}")
        return next((tree for tree in trees if (tree / "cmd").is_dir()), None)

    def _unpack(self, archive: Path, digest: str, wanted: str) -> Path:
        """Unpack the archive beside its place, commit it and give it its name."""
        source = self.settings.paths.source
        resources.require_disk(self.settings.paths.home, TREE_GIB, "the Kubernetes source")
        with files.scratch(source / ".tarball.making") as making:
            changed = unpack.extract(archive, making)
            require_kubernetes(making, self.name)
            version, _ = self._version(making, archive, wanted)
            console.progress(f"importing {archive.name}")
            start_repository(making)
            date = datetime.fromtimestamp(min(max(changed, 0.0), _LATEST), UTC)
            commit_everything(making, f"Import {archive.name}", f"{date:%Y-%m-%dT%H:%M:%SZ}")
            folder = source / f"{slug(version.partition('+')[0])}-tarball-{digest[:12]}"
            making.rename(folder)
            return folder

    def _version(self, tree: Path, archive: Path, wanted: str) -> tuple[str, str]:
        """Return the version and the commit of a tree that has no history.

        `git archive` writes both into hack/lib/version.sh; else the user, the file's name or the
        change log tell the version. A version the user named must not be contradicted.
        """
        text = version_script(tree)
        tag = re.search(r"'[^']*tag: (v[^ ,']+)[^']*' =~", text)
        named = re.search(rf"(?:^|[^\d.]){_RELEASE}(?=[^\d]|$)", archive.name.partition(".tar")[0])
        told = tag[1] if tag else ""
        if not told and named:
            told = f"v{named[1]}"
        if not told and is_version(wanted):
            told = wanted
        commit = stated_commit(tree)
        if not told:
            told = self.settings.build.version_stamp or guess_version(tree, commit)
        if not tag and not self.settings.build.version_stamp:
            grown = told
            with suppress(Failure):
                grown = guess_version(tree, commit)
            if parse(grown) > parse(told):
                raise NoSuchVersion(f"its change log is of {grown}, which is not {told}")
        if not satisfies(told, wanted) and not commit.startswith(wanted):
            raise NoSuchVersion(f"it is {told}, not {wanted}")
        return told, commit


def _require_checksum(given: str) -> None:
    if given and not re.fullmatch(_CHECKSUM, given):
        raise Failure(
            f"origin.tarball_sha256: {given!r} is no sha256", "write its 64 hexadecimal digits"
        )


def _stated(text: str, name: str, where: str) -> str:
    """Return the checksum that a file like those of sha256sum states for an archive."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    exact = [words[0] for words in lines if words[-1].lstrip("*").rsplit("/", 1)[-1] == name]
    found = exact or [words[0] for words in lines if len(lines) == 1]
    if found and re.fullmatch(_CHECKSUM, found[0]):
        return found[0]
    raise Failure(f"{mask(where)} states no checksum of {name}", "give it in origin.tarball_sha256")
