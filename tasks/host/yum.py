"""Edits repository files of yum and dnf with the rules of templates/host/yum.yaml.j2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tasks.host.plan import Edit, Mirrors
from tasks.settings import templates

FILES = ("etc/yum.repos.d/*.repo",)
_MIRROR_LIST = re.compile(r"^(mirrorlist|metalink)[ \t]*=", re.MULTILINE)


@dataclass(frozen=True)
class Rule:
    """Rule for the files of one mirror."""

    mirror: str
    files: tuple[str, ...]
    """Patterns of file names."""
    edits: tuple[tuple[str, str], ...]
    """(regular expression, replacement) pairs; a section gets all of them or none."""

    def section(self, text: str) -> str | None:
        """Return a section with all edits; None if an edit does not match any line."""
        for pattern, replacement in self.edits:
            text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            if not count:
                return None
        return text


def rules(mirrors: Mirrors) -> list[Rule]:
    """Return the rules for the mirrors that are set."""
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    rendered = templates.render(
        "host/yum.yaml.j2", rpm=mirrors.rpm.rstrip("/"), epel=mirrors.epel.rstrip("/")
    )
    return [
        Rule(
            rule["mirror"],
            tuple(rule["files"]),
            tuple((pattern, replacement) for pattern, replacement in rule["edits"]),
        )
        for rule in yaml.safe_load(rendered) or ()
    ]


def edit(name: str, text: str, mirrors: Mirrors) -> Edit:
    """Return a repository file in which the mirror replaces the distribution's mirror lists."""
    for rule in rules(mirrors):
        if any(fnmatchcase(name, pattern) for pattern in rule.files):
            return _apply(rule, text)
    return Edit(text)


def _apply(rule: Rule, text: str) -> Edit:
    before = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    after = [rule.section(section) for section in before]
    if not any(after):
        done = f"baseurl={rule.mirror}" in text
        return Edit(text, () if done else ("no section has both a mirror list and a #baseurl=",))
    skipped = tuple(
        f"{old.partition(']')[0]}] has a mirror list but no #baseurl="
        for old, new in zip(before, after, strict=True)
        if new is None and _MIRROR_LIST.search(old)
    )
    return Edit("".join(new or old for old, new in zip(before, after, strict=True)), skipped)
