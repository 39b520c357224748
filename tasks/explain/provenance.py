"""Find where each flag, variable and file line of a component comes from, by experiment.

Builders are pure functions. One setting or one fact is changed at a time. An item that disappears
from the result was caused by that setting or fact.
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
from tasks.settings import ip_families, load
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
"""Texts of a component by section: flags, environment, lines of files, and so on."""


@dataclass(frozen=True, order=True)
class Cause:
    """A reason for an item: a setting, a fact, a tool, the instance, or a range of versions."""

    kind: str
    """One of setting, instance, tool, fact, version and refusal."""
    name: str
    """Key of the setting, or name of the fact, tool, instance, flag or binary."""
    source: str
    """Source of the setting's value, or evidence for the fact, or versions that know the flag."""


@dataclass(frozen=True)
class Item:
    """A flag, a variable, a line of a file or an address; the fields are JSON keys of explain."""

    text: str
    origins: tuple[Cause, ...]
    """Causes of the item; empty if no setting or fact changes it."""


@dataclass(frozen=True)
class ChangedContext(Context):
    """A context in which some facts of its minor are replaced."""

    changed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """Return the facts of the minor, with the replaced values."""
        return replace(facts.minor(self.minor), **self.changed)


def trace(
    context: Context, build: Build, others: Mapping[Cause, Context] | None = None
) -> dict[str, tuple[Item, ...]]:
    """Return the items of a component by section; `others` are contexts of other machines."""
    base = view(context, build)
    name = build(context).name
    causes: dict[tuple[str, str], set[Cause]] = {
        (section, text): _version_bounds(text, section, name)
        for section, texts in base.items()
        for text in texts
    }
    for cause, other in _experiments(context, build, name, others or {}):
        for section, texts in base.items():
            for line in Counter(texts) - Counter(other.get(section, ())):
                causes[section, line].add(cause)
    return {
        section: tuple(Item(text, tuple(sorted(causes[section, text]))) for text in texts)
        for section, texts in base.items()
    }


def view(context: Context, build: Build) -> View:
    """Return the texts of a component by section."""
    component = build(context)
    spec = COMPONENTS[component.name]
    desired = spec.flags(context)
    health = component.health
    return {
        "health": (
            health.url,
            *(f"accepts {code}" for code in health.accept),
            *(f"client certificate {path}" for path in (health.certificate or ())[:1]),
        ),
        "ports": tuple(map(str, component.ports)),
        "starts after": component.after,
        FLAGS: component.argv[1:],
        DROPPED: tuple(f"--{flag}={text(desired[flag])}" for flag in spec.dropped(context)),
        "connects to in the sandbox": component.networks,
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
    """Yield the settings with one value changed, for every setting and several other values."""
    named = {
        row.key: _argument(settings.value(row.key)) for row in table() if settings.is_given(row.key)
    }
    home, nothing = str(settings.paths.home), Path(os.devnull)
    instance = Cause("instance", settings.name, home)
    yield instance, load.load({"STEPKUBE_HOME": "/probe"}, named, nothing)
    for row in table():
        cause = Cause("setting", row.key, settings.sources[row.key])
        for other in _alternatives(row, settings.value(row.key)):
            with suppress(Failure):  # a value can be invalid for this setting
                arguments = {**named, row.key: other}
                changed = load.load({"STEPKUBE_HOME": home}, arguments, nothing)
                yield instance if row.key == "instance" else cause, changed


def facts_changed(context: Context, component: str) -> Iterator[tuple[Cause, Mapping[str, Any]]]:
    """Yield one changed fact at a time, with each value of other minors or with a test value."""
    tables, current = facts.data(), context.facts
    all_facts = [facts.minor(number) for number in facts.minors()]
    for name, eras in tables["facts"].items():
        value = getattr(current, name)
        for other in {getattr(each, name) for each in all_facts} - {value} or {
            type(value)("probe")
        }:
            yield _fact(name, eras, context), {name: other}
    if component in current.health:
        others = {each.health[component] for each in all_facts} - {current.health[component]}
        for other in others or {facts.Endpoint("probe", "/probe")}:
            health = {**current.health, component: other}
            yield _fact("health", tables["health"][component], context), {"health": health}


def _experiments(
    context: Context, build: Build, component: str, others: Mapping[Cause, Context]
) -> Iterator[tuple[Cause, View]]:
    for cause, settings in settings_changed(context.settings):
        with suppress(Failure):  # a builder refuses values that its minor does not have
            yield cause, view(replace(context, settings=settings), build)
    for cause, changed in facts_changed(context, component):
        yield cause, view(ChangedContext(**vars(context), changed=changed), build)
    for cause, other in others.items():
        yield cause, view(other, build)


def _alternatives(row: Row, value: Any) -> list[str]:
    """Return other values of a setting, as arguments of the command line."""
    if get_origin(row.kind) is tuple:
        choices = get_args(get_args(row.kind)[0]) or ("probe",)
        return [choice for choice in choices if (choice,) != value]
    if get_origin(row.kind) is not None:
        return [choice for choice in get_args(row.kind) if choice != value]
    if isinstance(value, bool):
        return [_argument(not value)]
    if isinstance(value, int | float):
        return [str(value - 1 if value >= 65535 else value + 1)]
    # "probe<1" looks like an eviction threshold: text that is not a threshold is dropped
    valid = ("192.0.2.1",) if row.key == ip_families.NODE else ()
    return [other for other in ("", "probe", "probe<1", *valid) if other != value]


def _argument(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else text(value)


def _fact(name: str, eras: Mapping[str, Any], context: Context) -> Cause:
    since = max((era for era in eras if facts.parse(era) <= context.minor), key=facts.parse)
    return Cause("fact", name, f"since {since}: {_evidence(eras[since][1])}")


def _version_bounds(text: str, section: str, component: str) -> set[Cause]:
    """Return the first and last minor of a flag or of a field of a file; empty for all minors."""
    table = section.removeprefix(FILE) if section.startswith(FILE) else component
    name = text.removeprefix("--").replace(":", "=").partition("=")[0]
    row = facts.data()["flags"].get(table, {}).get(name, {})
    bounds = ", ".join(f"{bound} {row[bound]}" for bound in ("since", "until") if bound in row)
    return {Cause("version", name, f"{bounds}: {_evidence(row['evidence'])}")} if bounds else set()


def _evidence(letters: str) -> str:
    return ", ".join(EVIDENCE[letter] for letter in letters.split(","))
