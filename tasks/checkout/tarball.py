"""Origin: a source archive, local or downloaded, verified before it is used.

Every archive of a complete tree can be used: kubernetes-src.tar.gz of a release, GitHub's archive
of a tag, or an archive made by the user.
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
from tasks.system.git import Git

_SHA256, _SHA512 = 64, 128
_CHECKSUM = "[0-9a-fA-F]{64}|[0-9a-fA-F]{128}"
_LATEST = 4102444800.0  # 2100: an archive can contain later dates, which git refuses
_RELEASE = r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){2}(?:-(?:alpha|beta|rc)\.[0-9]{1,9})?)"


class Tarball:
    """A source archive: a local file or an http(s) address."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.location = settings.origin.tarball
        self.name = f"the archive {mask(self.location)}"
        self._source = settings.source("origin.tarball")

    def checkout(self, requested: str) -> Checkout:
        """Verify and unpack the archive, and import it into a git repository."""
        _require_checksum(self.settings.origin.tarball_sha256)
        archive = self._local() or self._download()
        digest = files.digest_file(archive)
        with files.locked(self.settings.paths.source / ".tarball.lock"):
            folder = self._existing_tree(digest)
            if folder is None:
                folder = self._unpack(archive, digest, requested)
        version, commit = self._version(folder, archive, requested)
        if self._local() is None:
            archive.unlink(missing_ok=True)
        stamp = self.settings.build.version_stamp or version
        return Checkout(folder, stamp, commit, self.name, requested)

    def _local(self) -> Path | None:
        """Return a local archive, verified if there is a checksum; None for an http(s) address."""
        if "://" in self.location and not self.location.startswith("file://"):
            network.require_url(self.location, self._source)
            return None
        is_url = "file://" in self.location
        path = user_path(unquote(urlsplit(self.location).path) if is_url else self.location)
        if not path.is_file():
            raise Failure(
                f"{self._source}: {path} does not exist or is not a file",
                "set origin.tarball to an archive that exists",
            )
        expected = self.settings.origin.tarball_sha256
        for suffix in () if expected else (".sha256", ".sha512"):
            checksum = path.with_name(path.name + suffix)
            if checksum.is_file():
                text = checksum.read_text(errors="replace")
                expected = _listed_checksum(text, path.name, str(checksum))
        if expected:
            self._verify(path, expected)
        return path

    def _download(self) -> Path:
        """Download the archive. Raises Unreachable, or Failure without a correct checksum."""
        origin, mirror = self.settings.origin, self.settings.mirror
        name = slug(unquote(urlsplit(self.location).path).rsplit("/", 1)[-1])
        expected = origin.tarball_sha256 or self._published_checksum(name)
        folder = self.settings.paths.cache / "downloads"
        target = folder / f"{files.digest(self.location)[:8]}-{name}"
        mismatch: list[Failure] = []

        def verify(path: Path) -> None:
            try:
                self._verify(path, expected)
            except Failure as failure:
                mismatch[:] = [failure]
                raise

        try:
            download.fetch(
                self.location,
                target,
                verify=verify,
                timeout=mirror.timeout,
                ca_bundle=mirror.ca_bundle,
                key="origin.tarball",
            )
        except Failure as failure:
            if mismatch:
                raise mismatch[0] from failure
            raise Unreachable(failure.message, failure.hint) from failure
        return target

    def _published_checksum(self, name: str) -> str:
        """Return the checksum in the file next to the archive: ADDRESS.sha256 or ADDRESS.sha512."""
        mirror, failures = self.settings.mirror, list[Failure]()
        for suffix in (".sha256", ".sha512"):
            parts = urlsplit(self.location)
            address = parts._replace(path=parts.path + suffix).geturl()
            try:
                text = download.read(
                    address, timeout=mirror.timeout, ca_bundle=mirror.ca_bundle, limit=1 << 20
                ).decode(errors="replace")
            except Failure as failure:
                failures.append(failure)
                continue
            return _listed_checksum(text, name, address)
        errors = "\n".join(failure.message for failure in failures)
        if not any(isinstance(failure, download.NotFound) for failure in failures):
            raise Unreachable(errors)
        raise Failure(
            f"{self._source}: there is no checksum for {mask(self.location)}, so it is not used\n"
            f"{errors}",
            "set origin.tarball_sha256; or download and verify the archive, and set origin.tarball"
            " to the local file",
        )

    def _verify(self, path: Path, expected: str) -> None:
        kinds = {_SHA256: "sha256", _SHA512: "sha512"}
        kind = kinds[len(expected)]
        with path.open("rb") as stream:
            actual = hashlib.file_digest(stream, kind).hexdigest()
        if actual != expected.lower():
            raise Failure(
                f"{self._source}: the {kind} of {mask(self.location)} is {actual}, not {expected}",
                "get the archive again, or correct the checksum",
            )

    def _existing_tree(self, digest: str) -> Path | None:
        """Return the tree that was unpacked earlier from an archive with this digest."""
        trees = self.settings.paths.source.glob(f"*-tarball-{digest[:12]}")
        return next((tree for tree in trees if (tree / "cmd").is_dir()), None)

    def _unpack(self, archive: Path, digest: str, requested: str) -> Path:
        """Unpack the archive and commit the tree; the folder is renamed when it is complete."""
        source = self.settings.paths.source
        resources.require_disk(self.settings.paths.home, TREE_GIB, "the Kubernetes source")
        with files.scratch(source / ".tarball.making") as staging:
            changed = unpack.extract(archive, staging)
            require_kubernetes(staging, self.name)
            version, _ = self._version(staging, archive, requested)
            console.progress(f"importing {archive.name}")
            start_repository(staging)
            date = datetime.fromtimestamp(min(max(changed, 0.0), _LATEST), UTC)
            commit_everything(Git(staging), f"Import {archive.name}", f"{date:%Y-%m-%dT%H:%M:%SZ}")
            folder = source / f"{slug(version.partition('+')[0])}-tarball-{digest[:12]}"
            staging.rename(folder)
            return folder

    def _version(self, tree: Path, archive: Path, requested: str) -> tuple[str, str]:
        """Return the version and the commit of a tree without history.

        `git archive` writes both into hack/lib/version.sh. Else the version comes from the file
        name, the requested version, build.version_stamp or the change log. Raises NoSuchVersion if
        it is not the requested version, or if the change log describes a newer minor.
        """
        text = version_script(tree)
        tag = re.search(r"'[^']*tag: (v[^ ,']+)[^']*' =~", text)
        named = re.search(rf"(?:^|[^\d.]){_RELEASE}(?=[^\d]|$)", archive.name.partition(".tar")[0])
        version = tag[1] if tag else ""
        if not version and named:
            version = f"v{named[1]}"
        if not version and is_version(requested):
            version = requested
        commit = stated_commit(tree)
        if not version:
            version = self.settings.build.version_stamp or guess_version(tree, commit)
        if not tag and not self.settings.build.version_stamp:
            logged = version
            with suppress(Failure):
                logged = guess_version(tree, commit)
            if parse(logged) > parse(version):
                raise NoSuchVersion(f"its change log describes {logged}, not {version}")
        if not satisfies(version, requested) and not commit.startswith(requested):
            raise NoSuchVersion(f"it is {version}, not {requested}")
        return version, commit


def _require_checksum(value: str) -> None:
    if value and not re.fullmatch(_CHECKSUM, value):
        raise Failure(
            f"origin.tarball_sha256: {value!r} is not a sha256",
            "set origin.tarball_sha256 to 64 hexadecimal digits",
        )


def _listed_checksum(text: str, name: str, source: str) -> str:
    """Return the checksum of an archive from a file in the format of sha256sum.

    A file with a single line may have another name or none.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    matches = [line[0] for line in lines if line[-1].lstrip("*").rsplit("/", 1)[-1] == name]
    checksums = matches or [line[0] for line in lines if len(lines) == 1]
    if checksums and re.fullmatch(_CHECKSUM, checksums[0]):
        return checksums[0]
    raise Failure(f"{mask(source)} has no checksum of {name}", "set origin.tarball_sha256")
