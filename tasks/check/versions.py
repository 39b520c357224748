"""Checks that the Kubernetes minor knows each setting: unknown ones are refused, not ignored."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.settings.load import Settings
from tasks.settings.table import Row, table


def unknown_settings(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for every changed setting that the minor does not know."""
    for row in table():
        if settings.is_given(row.key) and settings.value(row.key) != row.default:
            failure = refusal(row, settings.source(row.key), minor)
            if failure:
                yield failure


def refusal(row: Row, source: str, minor: Minor) -> Failure | None:
    """Return the failure if a minor does not know a setting from its source, else None.

    A key is checked against the minors whose components support it. A variable is also checked
    against the minors whose hack/local-up-cluster.sh reads it: other minors ignore it.
    """
    by_variable = source.startswith("the environment")
    if by_variable and row.ambient:
        return None
    name, version = row.env if by_variable else row.key, str(minor)
    if not _within(minor, row.since, row.until):
        return Failure(
            f"{source}: Kubernetes {version} does not know {name};"
            f" {_span(row.since, row.until)} {_do(row.since, row.until)}",
            _other_name(row, minor) or f"unset {name}, or use one of those versions",
        )
    if by_variable and not _within(minor, row.variable_since, row.variable_until):
        return Failure(
            f"{source}: hack/local-up-cluster.sh of Kubernetes {version} does not know {name};"
            f" that of {_span(row.variable_since, row.variable_until)} does",
            _other_name(row, minor)
            or f"unset {name}, and set {row.key} in stepkube.yaml or on the command line: that"
            f" works with {version} too",
        )
    return None


def _within(minor: Minor, since: str, until: str) -> bool:
    first, last = facts.parse(since or "1.0"), facts.parse(until or "1.999")
    return first <= minor <= last


def _span(since: str, until: str) -> str:
    """Return a range of minors as text, such as `1.24 to 1.34`."""
    oldest, newest = facts.data()["oldest"], facts.data()["newest"]
    if not until:
        return f"{since} and newer"
    return until if until == (since or oldest) else f"{since or oldest} to {until or newest}"


def _do(since: str, until: str) -> str:
    return "does" if until and until == (since or facts.data()["oldest"]) else "do"


def _other_name(row: Row, minor: Minor) -> str:
    """Return a fix with the variable's other name if the minor knows that name, else empty."""
    other = next((other for other in table() if row.renamed and other.env == row.renamed), None)
    is_known = other and _within(minor, other.variable_since, other.variable_until)
    return f"use {row.renamed}: that is its name in {minor}" if is_known else ""
