"""Which settings a Kubernetes minor knows: the others are refused, not silently ignored."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.facts import Minor
from tasks.settings.load import Settings
from tasks.settings.table import Row, table


def unknown_settings(settings: Settings, minor: Minor) -> Iterator[Failure]:
    """Yield a failure for every setting that was changed and that this minor does not know."""
    for row in table():
        if settings.is_named(row.key) and settings.value(row.key) != row.default:
            failure = refusal(row, settings.source(row.key), minor)
            if failure:
                yield failure


def refusal(row: Row, source: str, minor: Minor) -> Failure | None:
    """Return why a minor does not take a setting from where it was given, or None when it does.

    What the components can do is judged by key; a variable also by whether the minor's
    hack/local-up-cluster.sh reads it, for else it would have been ignored there.
    """
    by_variable = source.startswith("the environment")
    if by_variable and row.ambient:
        return None
    name, version = row.env if by_variable else row.key, str(minor)
    if not _within(minor, row.since, row.until):
        return Failure(
            f"{source}: Kubernetes {version} does not know {name};"
            f" {_span(row.since, row.until)} {_do(row.since, row.until)}",
            _other_name(row, minor) or f"unset {name}, or choose one of those versions",
        )
    if by_variable and not _within(minor, row.variable_since, row.variable_until):
        return Failure(
            f"{source}: hack/local-up-cluster.sh of Kubernetes {version} does not know {name};"
            f" that of {_span(row.variable_since, row.variable_until)} does",
            _other_name(row, minor)
            or f"unset it and write {row.key} in stepkube.yaml or on the command line, which"
            f" works with {version} too",
        )
    return None


def _within(minor: Minor, since: str, until: str) -> bool:
    first, last = facts.parse(since or "1.0"), facts.parse(until or "1.999")
    return first <= minor <= last


def _span(since: str, until: str) -> str:
    """Return a range of minors in words, such as `1.24 to 1.34`."""
    oldest, newest = facts.data()["oldest"], facts.data()["newest"]
    if not until:
        return f"{since} and newer"
    return until if until == (since or oldest) else f"{since or oldest} to {until or newest}"


def _do(since: str, until: str) -> str:
    return "does" if until and until == (since or facts.data()["oldest"]) else "do"


def _other_name(row: Row, minor: Minor) -> str:
    """Return the advice to use the variable's other name, where this minor knows that one."""
    other = next((other for other in table() if row.renamed and other.env == row.renamed), None)
    fits = other and _within(minor, other.variable_since, other.variable_until)
    return f"it is called {row.renamed} there" if fits else ""
