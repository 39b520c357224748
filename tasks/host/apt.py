"""Edits apt source files: replaces the distribution's archives by a mirror, in both formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from tasks.host.plan import Edit, Mirrors

FILES = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*.list",
    "etc/apt/sources.list.d/*.sources",
)
_ENTRY = re.compile(r"^([ \t]*deb(?:-src)?[ \t]+(?:\[[^]\n]*\][ \t]+)?)(\S+)(?=[ \t]+\S)", re.M)
_URIS = re.compile(r"^(URIs:)(.*(?:\n[ \t].*)*)", re.M | re.I)
_FIELD = re.compile(r"[A-Za-z][\w-]*:|[ \t]+\S")
_REQUIRED = ("types", "uris", "suites")


@dataclass(frozen=True)
class Archive:
    """Archive of a distribution."""

    hosts: re.Pattern[str]
    """Host names of the distribution's servers."""
    main: str
    """Folder of the main archive."""
    sibling: str
    """Folder that mirrors have next to the main one."""


ARCHIVES = (
    Archive(
        re.compile(r"(deb|security|httpredir|cdn-\w+\.deb|ftp(\.\w+)?)\.debian\.org"),
        "debian",
        "debian-security",
    ),
    Archive(
        re.compile(r"(([\w-]+\.)*archive|security|ports)\.ubuntu\.com"), "ubuntu", "ubuntu-ports"
    ),
)
_FOLDERS = {name for archive in ARCHIVES for name in (archive.main, archive.sibling)}


def mirrored(uri: str, mirror: str) -> str | None:
    """Return the address of an archive on a mirror; addresses of third parties are unchanged.

    None means: this is an archive of the distribution, but its address on the mirror is unknown.
    """
    parts = urlsplit(uri)
    host = parts.hostname or ""
    archive = next((item for item in ARCHIVES if item.hosts.fullmatch(host)), None)
    if archive is None or parts.scheme not in ("http", "https"):
        return uri
    folder = parts.path.strip("/") or (archive.sibling if host.startswith("security.") else "")
    parent, _, last = mirror.rstrip("/").rpartition("/")
    if folder not in (archive.main, archive.sibling):
        return None
    slash = "/" * uri.endswith("/")
    if folder == last or (folder == archive.main and last not in _FOLDERS):
        return mirror.rstrip("/") + slash
    return f"{parent}/{folder}{slash}" if last in (archive.main, archive.sibling) else None


def edit(name: str, text: str, mirrors: Mirrors) -> Edit:
    """Return a source file in which the mirror replaces the distribution's archives."""
    if not mirrors.apt:
        return Edit(text)
    deb822 = name.endswith(".sources")
    if not (_is_deb822(text) if deb822 else _is_one_line(text)):
        return Edit(text, (f"not in apt's {'deb822' if deb822 else 'one-line'} format",))
    skipped: dict[str, None] = {}

    def replace(match: re.Match[str]) -> str:
        uri = mirrored(match[0], mirrors.apt)
        if uri is None:
            skipped[f"the address of {match[0]} on mirror.apt is unknown"] = None
        return uri or match[0]

    pattern = _URIS if deb822 else _ENTRY
    edited = pattern.sub(lambda match: match[1] + re.sub(r"\S+", replace, match[2]), text)
    return Edit(edited, tuple(skipped))


def _is_one_line(text: str) -> bool:
    lines = (line.strip() for line in text.split("\n"))
    return all(_ENTRY.match(line) for line in lines if line and not line.startswith("#"))


def _is_deb822(text: str) -> bool:
    for stanza in re.split(r"\n[ \t\r]*(?=\n)", text):
        lines = [line for line in stanza.split("\n") if line.strip() and not line.startswith("#")]
        names = [line.partition(":")[0].lower() for line in lines]
        if not all(map(_FIELD.match, lines)) or (lines and not set(_REQUIRED) <= set(names)):
            return False
    return True
