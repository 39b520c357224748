"""Which Debian archives packages come from: the system's own ones, a mirror, further suites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core.errors import Failure

DEBIAN = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LINE = re.compile(r"^(deb|deb-src)\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """Where packages come from; `signed_by` is a keyring or an armoured key, empty for apt's own.

    `suites` and `components` are blank-separated as in a deb822 file.
    """

    uris: str
    suites: str
    components: str
    signed_by: str = ""

    def stanza(self, kinds: Sequence[str]) -> str:
        """Return the source as a deb822 stanza."""
        lines = [
            f"Types: {' '.join(kinds)}",
            f"URIs: {self.uris}",
            f"Suites: {self.suites}",
            f"Components: {self.components}",
        ]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines)


def select(mirror: str, suites: Sequence[str], *, system: bool) -> list[Source]:
    """Return the sources of the system (or of `mirror` in their place), then of further suites.

    Raises Failure when the system has none that speak of its own release.
    """
    code_names = _code_names()
    own = [own for source in system_sources() if (own := _own(source, code_names))]
    main = (source for source in own if re.search(r"\bdebian/?(\s|$)", source.uris))
    debian = next(main, Source(DEBIAN, "", "main"))
    signed_by = debian.signed_by or (str(KEYRING) if KEYRING.is_file() else "")
    if mirror and code_names:
        own = [Source(mirror, code_names[0], "main", own[0].signed_by if own else signed_by)]
    further = [Source(mirror or debian.uris, suite, "main", signed_by) for suite in suites]
    chosen = (own if system else []) + further
    if not chosen:
        raise Failure(
            "/etc/apt names no package source of this system's release",
            "name a Debian archive in mirror.apt",
        )
    return chosen


def system_sources(folder: Path = Path("/etc/apt")) -> list[Source]:
    """Return the enabled package sources of the system, of both file formats."""
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    found = [source for path in lists if path.is_file() for source in _one_line(path.read_text())]
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        found += _deb822(path.read_text())
    return list(dict.fromkeys(found))


def _one_line(text: str) -> Iterator[Source]:
    for _, options, uri, suite, components in _LINE.findall(text):
        named = dict(word.split("=", 1) for word in options.split() if "=" in word)
        yield Source(uri, suite, components.partition("#")[0].strip(), named.get("signed-by", ""))


def _deb822(text: str) -> Iterator[Source]:
    text = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            name.lower(): value.strip()
            for name, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        }
        if "uris" in fields and fields.get("enabled", "yes").lower() not in ("no", "false"):
            uris, suites, components = (
                " ".join(fields.get(key, "").split()) for key in ("uris", "suites", "components")
            )
            yield Source(uris, suites, components, fields.get("signed-by", ""))


def _code_names() -> list[str]:
    """Return the names of the release that runs here, its own before its parent's."""
    release = Path("/etc/os-release")
    text = release.read_text() if release.is_file() else ""
    keys = ("VERSION_CODENAME", "DEBIAN_CODENAME", "UBUNTU_CODENAME")
    found = (re.search(rf'^{key}="?([\w-]+)', text, re.MULTILINE) for key in keys)
    return [match[1] for match in found if match]


def _own(source: Source, code_names: Sequence[str]) -> Source | None:
    """Return a source with the release's own suites only; None for what others offer for it."""
    names = "|".join([*map(re.escape, code_names), "stable", "testing", "unstable", "sid"])
    form = re.compile(rf"({names})([-/](updates|security))?")
    suites = " ".join(filter(form.fullmatch, source.suites.split()))
    if not suites or "main" not in source.components.split():
        return None
    return replace(source, suites=suites)
