"""Client of the Go checksum database: verifies the signature and the proof of every hash."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from lzma import LZMAError
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod.tlog import Read, Signer, check_inclusion, open_note, signer, tiles
from tasks.system import damage, download, files
from tasks.system.unpack import refused

DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, EOFError, LZMAError),
    *(ValueError, RuntimeError, OverflowError, KeyError, struct.error),
)
"""Errors of zipfile: a zip is damaged, encrypted (RuntimeError), or its compression is unknown."""
VERIFIER_KEYS = {
    "sum.golang.org": "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
}
ALIASES = {"sum.golang.google.cn": "sum.golang.org https://sum.golang.google.cn"}


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
    """Return the verified h1: hash of a Go module version, or "" if the database is off.

    The proxies' copies of the database are tried first, then the database itself. A verified record
    is stored in `cache`: it never changes. Raises Failure if no record can be verified.
    """
    if sumdb_name == "off":
        console.warn(f"{module} {version} is not verified: mirror.gosumdb is off")
        return ""
    trusted, url = database(sumdb_name)
    key = f"{_escape(module)}@{_escape(version)}"
    cached = cache / trusted.name / key
    if os.path.lexists(cached):
        try:
            return hash_of(damage.read_text(cached), module, version)
        except (Failure, damage.DamagedError) as error:
            damage.set_aside(cached, error, "the record is fetched again")
    failures: list[Failure] = []
    for base in [*(f"{proxy.rstrip('/')}/sumdb/{trusted.name}" for proxy in goproxy_urls), url]:
        try:
            record = verified_record(trusted, key, _reader(base, timeout, ca_bundle))
            module_hash = hash_of(record, module, version)
        except Failure as error:
            prefix = "" if base in error.message else f"{base}: "
            failures.append(type(error)(prefix + error.message))
            continue
        files.write(cached, record)
        return module_hash
    failure = download.combined(
        failures,
        "check the network, or set mirror.goproxy to a proxy that serves the checksum database",
    )
    message = f"no verified checksum of {module} {version}:\n{failure.message}"
    raise type(failure)(message, failure.hint)


def database(text: str) -> tuple[Signer, str]:
    """Parse a GOSUMDB value (a known name or a verifier key, optional URL) to (signer, URL).

    Raises Failure if the key is not valid.
    """
    name, _, url = ALIASES.get(text, text).partition(" ")
    try:
        trusted = signer(VERIFIER_KEYS.get(name, name))
    except Failure as failure:
        raise Failure(
            f"mirror.gosumdb: {failure.message}",
            "use sum.golang.org, or name+hash+key (see `go help module-auth`)",
        ) from failure
    return trusted, url.strip().rstrip("/") or f"https://{trusted.name}"


def verified_record(trusted: Signer, key: str, read: Read) -> str:
    """Return the record of `key` (module@version) from a signed tree that contains it.

    Raises Failure if the signature or the proof is not valid.
    """
    try:
        number, _, rest = read(f"lookup/{key}").decode().partition("\n")
        record, _, note = rest.partition("\n\n")
        index = int(number)
    except ValueError as error:
        raise Failure(f"the record of {key} has a wrong format") from error
    record += "\n"
    tree = open_note(note, trusted)
    check_inclusion(record, index, tree, tiles(read, tree.size))
    return record


def hash_of(record: str, module: str, version: str) -> str:
    """Return the h1: hash of a Go module version from a record. Raises Failure if it has none."""
    match = re.search(rf"^{re.escape(module)} {re.escape(version)} (h1:\S+)$", record, re.MULTILINE)
    if match is None:
        raise Failure(f"the checksum database's record has no hash of {module} {version}")
    return match[1]


def hash_zip(path: Path) -> str:
    """Return the h1: hash of a Go module zip: the hash of the sorted list of its files' hashes."""
    listing = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist(), key=str.encode):
                with archive.open(name) as stream:
                    digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
                listing.update(f"{digest.hexdigest()}  {name}\n".encode())
    except OSError as error:
        raise refused(path, error) from error
    except DAMAGED_ZIP as error:
        raise Failure(f"{path.name} is not a complete zip file: {error}") from error
    return "h1:" + base64.b64encode(listing.digest()).decode()


def _reader(base: str, timeout: float, ca_bundle: str) -> Read:
    return lambda path: download.read(f"{base}/{path}", timeout=timeout, ca_bundle=ca_bundle)


def _escape(path: str) -> str:
    """Escape capital letters like module proxies: !a for A."""
    return re.sub("[A-Z]", lambda match: "!" + match[0].lower(), path)
