"""Where all that a component is made of came from, found by experiment instead of by record.

Builders are pure: one setting or fact at a time is changed, and what then vanishes came from it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args, get_origin

from tasks.components.base import Component, Context
from tasks.components.command_line import text
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Facts
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.settings.table import Row, table

EVIDENCE = {
    "V": "read in the tree",
    "T": "read in the tagged repositories",
    "R": "release notes",
    "X": "tried",
    "P": "pull request",
    "I": "inferred",
    "M": "from memory",
}
FLAGS, DROPPED, FILE = "flags", "dropped", "file "
Build = Callable[[Context], Component]
View = Mapping[str, tuple[str, ...]]
"""All that a component is made of, as words by section."""


@dataclass(frozen=True, order=True)
class Cause:
    """A setting, the instance, a tool, a fact, or the minors (`version`) that know a flag.

    `source` is where the setting's value came from, or what the fact rests on.
    """

    kind: str
    name: str
    source: str


@dataclass(frozen=True)
class Word:
    """A flag, a variable, a line of a file or an address; without origins it is always so."""

    text: str
    origins: tuple[Cause, ...]


@dataclass(frozen=True)
class Supposing(Context):
    """A context in which some facts are others than those of its minor."""

    supposed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """What is supposed to be true of the minor."""
        return replace(facts.minor(self.minor), **self.supposed)


def trace(
    context: Context, build: Build, others: Mapping[Cause, Context] | None = None
) -> dict[str, tuple[Word, ...]]:
    """Return a component's words with their origins; `others` are contexts of another machine."""
    base = view(context, build)
    name = build(context).name
    found: dict[tuple[str, str], set[Cause]] = {
        (section, word): _known(word, section, name)
        for section, words in base.items()
        for word in words
    }
    for origin, other in _experiments(context, build, name, others or {}):
        for section, words in base.items():
            for word in Counter(words) - Counter(other.get(section, ())):
                found[section, word].add(origin)
    return {
        section: tuple(Word(word, tuple(sorted(found[section, word]))) for word in words)
        for section, words in base.items()
    }


def view(context: Context, build: Build) -> View:
    """Return all that a component is made of, as words."""
    component = build(context)
    spec = COMPONENTS[component.name]
    desired = spec.flags(context)
    health = component.health
    return {
        "health": (health.url, *(f"accepts {code}" for code in health.accept)),
        "ports": tuple(map(str, component.ports)),
        "starts after": component.after,
        FLAGS: component.argv[1:],
        DROPPED: tuple(f"--{flag}={text(desired[flag])}" for flag in spec.dropped(context)),
        "container image": (component.image,) if component.image else (),
        "environment": tuple(f"{name}={value}" for name, value in component.env.items()),
        "reads": tuple(map(str, component.inputs)),
        "writes": tuple(map(str, component.folders)),
        "files": tuple(map(str, component.files)),
        **{
            f"{FILE}{path.name}": tuple(text.splitlines()) for path, text in component.files.items()
        },
    }


def settings_changed(settings: Settings) -> Iterator[tuple[Cause, Settings]]:
    """Yield these settings with one value changed, for every setting and every likely change."""
    given = {
        row.key: _word(settings.value(row.key)) for row in table() if settings.is_named(row.key)
    }
    home, nothing = str(settings.paths.home), Path(os.devnull)
    instance = Cause("instance", settings.name, home)
    yield instance, load.load({"STEPKUBE_HOME": "/probe"}, given, nothing)
    for row in table():
        origin = Cause("setting", row.key, settings.sources[row.key])
        for other in _others(row, settings.value(row.key)):
            with suppress(Failure):  # not every change makes sense for every setting
                words = {**given, row.key: other}
                changed = load.load({"STEPKUBE_HOME": home}, words, nothing)
                yield instance if row.key == "instance" else origin, changed


def facts_changed(context: Context, component: str) -> Iterator[tuple[Cause, Mapping[str, Any]]]:
    """Yield one fact at a time with the values of other minors, or with a made-up one."""
    tables, now = facts.data(), context.facts
    every = [facts.minor(number) for number in facts.minors()]
    for name, eras in tables["facts"].items():
        others = {getattr(known, name) for known in every} - {getattr(now, name)}
        for other in others or {type(getattr(now, name))("probe")}:
            yield _fact(name, eras, context), {name: other}
    if component in now.health:
        others = {known.health[component] for known in every} - {now.health[component]}
        for other in others or {facts.Endpoint("probe", "/probe")}:
            health = {**now.health, component: other}
            yield _fact("health", tables["health"][component], context), {"health": health}


def _experiments(
    context: Context, build: Build, component: str, others: Mapping[Cause, Context]
) -> Iterator[tuple[Cause, View]]:
    for origin, settings in settings_changed(context.settings):
        with suppress(Failure):  # a builder refuses what its minor does not have
            yield origin, view(replace(context, settings=settings), build)
    for origin, supposed in facts_changed(context, component):
        yield origin, view(Supposing(**vars(context), supposed=supposed), build)
    for origin, other in others.items():
        yield origin, view(other, build)


def _others(row: Row, now: Any) -> list[str]:
    """Return values that a setting could have instead, as words of the command line."""
    if get_origin(row.kind) is tuple:
        return [word for word in get_args(get_args(row.kind)[0]) or ("probe",) if (word,) != now]
    if get_origin(row.kind) is not None:
        return [choice for choice in get_args(row.kind) if choice != now]
    if isinstance(now, bool):
        return [_word(not now)]
    if isinstance(now, int | float):
        return [str(now - 1 if now >= 65535 else now + 1)]
    # the second looks like an eviction threshold too, which is dropped when it is none
    return [other for other in ("", "probe", "probe<1") if other != now]


def _word(given: Any) -> str:
    return ",".join(given) if isinstance(given, tuple) else text(given)


def _fact(name: str, eras: Mapping[str, Any], context: Context) -> Cause:
    since = max((era for era in eras if facts.parse(era) <= context.minor), key=facts.parse)
    return Cause("fact", name, f"since {since}: {_evidence(eras[since][1])}")


def _known(word: str, section: str, component: str) -> set[Cause]:
    """Return since when and until when a flag, or a field of a file, is known, if not always."""
    table = section.removeprefix(FILE) if section.startswith(FILE) else component
    name = word.removeprefix("--").replace(":", "=").partition("=")[0]
    row = facts.data()["flags"].get(table, {}).get(name, {})
    bounds = ", ".join(f"{bound} {row[bound]}" for bound in ("since", "until") if bound in row)
    return {Cause("version", name, f"{bounds}: {_evidence(row['evidence'])}")} if bounds else set()


def _evidence(letters: str) -> str:
    return ", ".join(EVIDENCE[letter] for letter in letters.split(","))
