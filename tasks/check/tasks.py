"""Task check: refuse settings that the version does not support or that conflict."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.check import conflicts, memory_need, networks, ports, transport, versions
from tasks.cli.task import action
from tasks.components.base import Component, Context
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings

RELEASE = re.compile(r"v?[0-9]{1,9}(\.[0-9]{1,9}){1,2}(-[a-z]+\.[0-9]{1,9})?")


def require(settings: Settings, minor: Minor) -> None:
    """Raise one Failure with all problems of the settings for a minor."""
    _refuse([*problems(settings, minor), *_component_problems(settings, minor)])


def require_for_any_minor(settings: Settings) -> None:
    """Raise one Failure with the problems of the settings that do not depend on the minor.

    These are the problems with the same message for the oldest and the newest minor.
    """
    oldest, newest = (facts.parse(facts.data()[name]) for name in ("oldest", "newest"))
    old = set(map(str, problems(settings, oldest)))
    _refuse([failure for failure in problems(settings, newest) if str(failure) in old])


def _refuse(failures: list[Failure]) -> None:
    if len(failures) == 1:
        raise failures[0]
    if failures:
        listed = "\n".join("- " + str(failure).replace("\n", "\n  ") for failure in failures)
        raise Failure(
            f"{len(failures)} settings are invalid:\n{listed}",
            "run: doit config (prints every setting and its source)",
        )


def problems(settings: Settings, minor: Minor) -> list[Failure]:
    """Return the problems of the settings that can be found without a build."""
    facts.minor(minor)  # raises Failure if the minor is not supported
    failures = list(versions.unknown_settings(settings, minor)) or list(
        conflicts.conflicts(settings, minor)
    )
    if failures:
        return failures
    components: dict[str, Component] = {}
    for name, spec in COMPONENTS.items():
        try:
            components[name] = spec.build(Context(settings, minor, Path(os.devnull, name)))
        except Failure as failure:
            failures.append(failure)
    return [
        *failures,
        *ports.shared_ports(settings, components),
        *ports.debug_port_problems(settings),
    ]


def _component_problems(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield the failures of the components' own checks (Spec.validate)."""
    for spec in COMPONENTS.values():
        try:
            spec.validate(Context(settings, minor, Path()))
        except Failure as failure:
            yield failure


def minor(settings: Settings) -> Minor | None:
    """Return the minor of the configured version, or None if it is unknown before a checkout.

    A release contains its minor in its name. For other versions, such as a branch, it is the minor
    of the last checkout of the same version.
    """
    if RELEASE.fullmatch(settings.version.strip()):
        return facts.parse(settings.version.strip())
    with suppress(Failure):  # there is no checkout yet
        checkout = load_checkout(settings.paths.lock)
        if checkout.requested == settings.version.strip():
            return checkout.minor
    return None


@action
def check(settings: Settings) -> None:
    """Refuse invalid settings and too little memory, warn about TLS and networks used twice.

    If the minor is unknown, the task checkout checks the rest.
    """
    known_minor = minor(settings)
    if known_minor is None:
        require_for_any_minor(settings)
    else:
        require(settings, known_minor)
    memory = memory_need.require(settings)
    for warning in filter(
        None, (*transport.warnings(settings), *networks.warnings(settings), memory)
    ):
        console.warn(warning)


def task_check(settings: Settings) -> dict[str, Any]:
    """Return the task that checks the settings; all other stages depend on it."""
    return {
        "doc": "check the settings: against the version, and for conflicts",
        "actions": [(check, [settings])],
        "uptodate": [False],
        "meta": {"quiet": True},
    }
