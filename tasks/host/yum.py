"""Puts a mirror into the repository files of yum and dnf, as templates/host/yum.yaml.j2 has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tasks.host.plan import Edit, Mirrors
from tasks.settings import templates

FILES = ("etc/yum.repos.d/*.repo",)
_LISTED = re.compile(r"^(mirrorlist|metalink)[ \t]*=", re.MULTILINE)


@dataclass(frozen=True)
class Rule:
    """The files of one mirror, and the edits that a section of theirs needs, all of them."""

    mirror: str
    files: tuple[str, ...]
    edits: tuple[tuple[str, str], ...]

    def section(self, text: str) -> str | None:
        """Return a section with every edit made, None where one does not find its line."""
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
    """Return a repository file with the mirror in the place of the distribution's own lists."""
    for rule in rules(mirrors):
        if any(fnmatchcase(name, pattern) for pattern in rule.files):
            return _apply(rule, text)
    return Edit(text)


def _apply(rule: Rule, text: str) -> Edit:
    before = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    after = [rule.section(section) for section in before]
    if not any(after):
        known = f"baseurl={rule.mirror}" in text
        return Edit(text, () if known else ("no section has a mirror list and an address to use",))
    left = tuple(
        f"{old.partition(']')[0]}] has a mirror list and no address to use"
        for old, new in zip(before, after, strict=True)
        if new is None and _LISTED.search(old)
    )
    return Edit("".join(new or old for old, new in zip(before, after, strict=True)), left)
