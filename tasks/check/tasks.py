"""Before anything is fetched, built or started: settings suit the version, and each other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.check import conflicts, ports, versions
from tasks.cli.task import action
from tasks.components.base import Component, Context
from tasks.components.registry import COMPONENTS
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings

RELEASE = re.compile(r"v?\d+\.\d+(\.\d+)?(-[a-z]+\.\d+)?")


def require(settings: Settings, minor: Minor) -> None:
    """Raise one Failure with everything that is wrong with the settings of this minor."""
    _refuse([*problems(settings, minor), *_invalid(settings, minor)])


def require_sound(settings: Settings) -> None:
    """Raise one Failure with what is wrong whatever the version.

    That is what both the oldest and the newest refuse, in the same words.
    """
    oldest, newest = (facts.parse(facts.data()[name]) for name in ("oldest", "newest"))
    old = set(map(str, problems(settings, oldest)))
    _refuse([failure for failure in problems(settings, newest) if str(failure) in old])


def _refuse(found: list[Failure]) -> None:
    if len(found) == 1:
        raise found[0]
    if found:
        listed = "\n".join("- " + str(failure).replace("\n", "\n  ") for failure in found)
        raise Failure(
            f"{len(found)} settings cannot be as they are:\n{listed}",
            "doit config shows every setting and where it came from",
        )


def problems(settings: Settings, minor: Minor) -> list[Failure]:
    """Return what is wrong with the settings, as far as it can be known without building."""
    facts.minor(minor)  # or it is too old for everything
    found = list(versions.unknown_settings(settings, minor)) or list(
        conflicts.conflicts(settings, minor)
    )
    if found:
        return found
    built: dict[str, Component] = {}
    for name, spec in COMPONENTS.items():
        try:
            built[name] = spec.build(Context(settings, minor, Path(os.devnull, name)))
        except Failure as failure:
            found.append(failure)
    return [*found, *ports.shared_ports(settings, built), *ports.debug_port_problems(settings)]


def _invalid(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield what the components themselves refuse."""
    for spec in COMPONENTS.values():
        try:
            spec.validate(Context(settings, minor, Path()))
        except Failure as failure:
            yield failure


def minor(settings: Settings) -> Minor | None:
    """Return the minor the settings ask for, as far as it is known before a checkout.

    A release tells it by its name; anything else by what it was checked out as the last time.
    """
    if RELEASE.fullmatch(settings.version.strip()):
        return facts.parse(settings.version.strip())
    with suppress(Failure):  # nothing was checked out yet
        taken = load_checkout(settings.paths.lock)
        if taken.requested == settings.version.strip():
            return taken.minor
    return None


@action
def check(settings: Settings) -> None:
    """Refuse what cannot work; what depends on a version not known yet, the checkout refuses."""
    chosen = minor(settings)
    if chosen is None:
        require_sound(settings)
    else:
        require(settings, chosen)


def task_check(settings: Settings) -> dict[str, Any]:
    """Return the task that every other stage waits for."""
    return {
        "doc": "refuse settings that the version does not know, or that contradict each other",
        "actions": [(check, [settings])],
        "uptodate": [False],
        "meta": {"quiet": True},
    }
