"""Components as their builders make them from a few settings, in a workspace that is not there."""

from __future__ import annotations

from pathlib import Path

from tasks.components.base import Component, Context
from tasks.components.registry import COMPONENTS
from tasks.kubernetes import facts
from tasks.settings import load

HOME = "/workspace"


def context(
    component: str,
    minor: str | facts.Minor = "1.20",
    known: frozenset[str] | None = None,
    /,
    **words: str,
) -> Context:
    """Return the context of a component; words are settings, with __ for the dot."""
    dotted = {key.replace("__", "."): value for key, value in words.items()}
    chosen = load.load({"STEPKUBE_HOME": HOME}, dotted, Path("/nonexistent.yaml"))
    binary = Path(f"{HOME}/bin/{component}")
    return Context(chosen, facts.minor(minor).minor, binary, known)


def build(
    component: str,
    minor: str | facts.Minor = "1.20",
    known: frozenset[str] | None = None,
    /,
    **words: str,
) -> Component:
    return COMPONENTS[component].build(context(component, minor, known, **words))


def given(
    component: str,
    minor: str | facts.Minor = "1.20",
    known: frozenset[str] | None = None,
    /,
    **words: str,
) -> dict[str, str]:
    """Return the flags of a component's argv."""
    argv = build(component, minor, known, **words).argv[1:]
    return dict(item.removeprefix("--").split("=", 1) for item in argv)
