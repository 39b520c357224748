"""Package sources for apt: those of the system, a mirror in their place, and more suites."""

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
    """A package source of apt; `suites` and `components` are separated by blanks, as in deb822."""

    uris: str
    suites: str
    components: str
    signed_by: str = ""
    """A keyring file or an armoured key; empty for the keys that apt trusts."""

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
    """Return the sources of the system (or `mirror` in their place), then those of more suites.

    Raises Failure when the system has no source of its release.
    """
    code_names = _code_names()
    of_release = (_release_suites(source, code_names) for source in system_sources())
    installed = [source for source in of_release if source]
    main = (source for source in installed if re.search(r"\bdebian/?(\s|$)", source.uris))
    debian = next(main, Source(DEBIAN, "", "main"))
    signed_by = debian.signed_by or (str(KEYRING) if KEYRING.is_file() else "")
    if mirror and code_names:
        signed_by_system = installed[0].signed_by if installed else signed_by
        installed = [Source(mirror, code_names[0], "main", signed_by_system)]
    more = [Source(mirror or debian.uris, suite, "main", signed_by) for suite in suites]
    selected = (installed if system else []) + more
    if not selected:
        raise Failure(
            "/etc/apt has no package source of this system's release",
            "set mirror.apt to a Debian archive",
        )
    return selected


def system_sources(folder: Path = Path("/etc/apt")) -> list[Source]:
    """Return the enabled package sources of the system, from .list and .sources files."""
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    found = [source for path in lists if path.is_file() for source in _one_line(_text(path))]
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        found += _deb822(_text(path))
    return list(dict.fromkeys(found))


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def _one_line(text: str) -> Iterator[Source]:
    for _, options, uri, suite, components in _LINE.findall(text):
        values = dict(option.split("=", 1) for option in options.split() if "=" in option)
        yield Source(uri, suite, components.partition("#")[0].strip(), values.get("signed-by", ""))


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
    """Return the code names of this system's release, then of the release it is based on."""
    release = Path("/etc/os-release")
    text = _text(release) if release.is_file() else ""
    keys = ("VERSION_CODENAME", "DEBIAN_CODENAME", "UBUNTU_CODENAME")
    found = (re.search(rf'^{key}="?([\w-]+)', text, re.MULTILINE) for key in keys)
    return [match[1] for match in found if match]


def _release_suites(source: Source, code_names: Sequence[str]) -> Source | None:
    """Return a source with only the suites of the release; None for a third-party source."""
    names = "|".join([*map(re.escape, code_names), "stable", "testing", "unstable", "sid"])
    pattern = re.compile(rf"({names})([-/](updates|security))?")
    suites = " ".join(filter(pattern.fullmatch, source.suites.split()))
    if not suites or "main" not in source.components.split():
        return None
    return replace(source, suites=suites)
