"""The Go checksum database: a module's hash is believed only with a signature and a proof."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from tasks.core import console
from tasks.core.errors import Failure
from tasks.gomod.tlog import Read, Signer, check_inclusion, open_note, signer, tiles
from tasks.system import download, files

KNOWN = {
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
    """Return the verified h1: hash of `module` at `version`, or "" when the database is off.

    The proxies' copies of the database are asked first, then the database. A verified record is
    kept in `cache`, for it can never change. Raises Failure when nothing verifiable is to be had.
    """
    if sumdb_name == "off":
        console.warn(f"{module} {version} is not verified: mirror.gosumdb is off")
        return ""
    known, url = database(sumdb_name)
    wanted = f"{_escape(module)}@{_escape(version)}"
    kept = cache / known.name / wanted
    if kept.is_file():
        return hash_of(kept.read_text(), module, version)
    said: list[str] = []
    for base in [*(f"{proxy.rstrip('/')}/sumdb/{known.name}" for proxy in goproxy_urls), url]:
        try:
            record = verified_hash(known, wanted, _reader(base, timeout, ca_bundle))
            found = hash_of(record, module, version)
        except Failure as failure:
            where = "" if base in failure.message else f"{base}: "
            said.append(where + failure.message)
            continue
        files.write(kept, record)
        return found
    raise Failure(
        f"no verified checksum of {module} {version}:\n" + "\n".join(said),
        "check the network, or name a proxy in mirror.goproxy that serves the checksum database",
    )


def database(text: str) -> tuple[Signer, str]:
    """Read a GOSUMDB value: a known name or a verifier key, and where the database answers."""
    name, _, url = ALIASES.get(text, text).partition(" ")
    try:
        known = signer(KNOWN.get(name, name))
    except Failure as failure:
        raise Failure(
            f"mirror.gosumdb: {failure.message}",
            "write sum.golang.org, or name+hash+key as `go help module-auth` has it",
        ) from failure
    return known, url.strip().rstrip("/") or f"https://{known.name}"


def verified_hash(known: Signer, wanted: str, read: Read) -> str:
    """Return the record of `module@version` once its tree is signed and its place in it proven."""
    try:
        number, _, rest = read(f"lookup/{wanted}").decode().partition("\n")
        record, _, note = rest.partition("\n\n")
        index = int(number)
    except ValueError as error:
        raise Failure(f"the record of {wanted} is unreadable") from error
    record += "\n"
    tree = open_note(note, known)
    check_inclusion(record, index, tree, tiles(read, tree.size))
    return record


def hash_of(record: str, module: str, version: str) -> str:
    """Return the h1: hash that a record states for the content of a module version."""
    match = re.search(rf"^{re.escape(module)} {re.escape(version)} (h1:\S+)$", record, re.MULTILINE)
    if match is None:
        raise Failure(f"the checksum database's record does not speak of {module} {version}")
    return match[1]


def hash_zip(path: Path) -> str:
    """Return the h1: hash of a module zip: the hash of the sorted list of its files' hashes."""
    listing = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist(), key=str.encode):
                with archive.open(name) as stream:
                    digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
                listing.update(f"{digest.hexdigest()}  {name}\n".encode())
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise Failure(f"{path.name} is not a whole zip file: {error}") from error
    return "h1:" + base64.b64encode(listing.digest()).decode()


def _reader(base: str, timeout: float, ca_bundle: str) -> Read:
    return lambda path: download.read(f"{base}/{path}", timeout=timeout, ca_bundle=ca_bundle)


def _escape(path: str) -> str:
    """Write capitals as the module proxies do: !a for A."""
    return re.sub("[A-Z]", lambda match: "!" + match[0].lower(), path)
