"""Facts of a Kubernetes minor, read from templates/facts.yaml."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tasks.core import derived
from tasks.core.errors import Failure
from tasks.settings.load import ROOT

FILE = ROOT / "templates" / "facts.yaml"
_MINOR = re.compile(r"v?([0-9]{1,9})\.([0-9]{1,9})(?!\d)")


class Minor(NamedTuple):
    """A Kubernetes minor, written 1.20."""

    major: int
    number: int

    def __str__(self) -> str:
        return f"{self.major}.{self.number}"


@dataclass(frozen=True)
class Endpoint:
    """Scheme and path of a component's health check."""

    scheme: str
    path: str


@dataclass(frozen=True)
class Facts:
    """The facts of one minor; templates/facts.yaml explains each field and names its evidence."""

    minor: Minor
    build_mode: str
    build_tags: tuple[str, ...]
    static_modules: tuple[str, ...]
    needs_c: bool
    version_packages: tuple[str, ...]
    insecure_port: str
    issued_tokens: bool
    pod_priority_alpha: bool
    sampled_concurrency: bool
    admission: tuple[str, ...]
    cloud_providers: tuple[str, ...]
    cloud_sample: bool
    cloud_volumes: str
    dns_addon: str
    kubelet_config: str
    kube_proxy_config: str
    proxy_modes: tuple[str, ...]
    nftables_gate: str
    cri: tuple[str, ...]
    dockershim: bool
    rkt: bool
    cgroup_v2: bool
    dual_stack: str
    health: Mapping[str, Endpoint]
    admission_removed: Mapping[str, str]
    note: str = ""
    """Message to the user if the facts are those of another minor, else empty."""


def parse(version: str) -> Minor:
    """Return the minor of a version such as `1.20`, `v1.20.2` or `v1.36.0-alpha.1`.

    Raises Failure if the text does not begin with a version.
    """
    match = _MINOR.match(version)
    if not match:
        raise Failure(f"{version!r} is not a Kubernetes version", "write it like 1.20 or v1.20.2")
    return Minor(int(match[1]), int(match[2]))


def minor(version: str | Minor) -> Facts:
    """Return the facts of a minor.

    A minor after the newest known one gets the facts of the newest, and a note. Raises Failure for
    a minor before the oldest known one.
    """
    requested = parse(version) if isinstance(version, str) else version
    known = _clamp(requested)
    note = ""
    if known != requested:
        note = (
            f"Kubernetes {requested} is newer than {known}: it is treated as {known},"
            " and every flag is tried on the binary first"
        )
    return _facts(requested, known, note)


def minors() -> list[Minor]:
    """Return all known minors, oldest first."""
    (major, oldest), (_, newest) = parse(data()["oldest"]), parse(data()["newest"])
    return [Minor(major, number) for number in range(oldest, newest + 1)]


def flag_known(component: str, flag: str, version: str | Minor) -> bool:
    """Return whether a component of a minor has a flag, or its configuration file a field."""
    known = _clamp(parse(version) if isinstance(version, str) else version)
    row = data()["flags"][component].get(flag)
    if row is None:
        return False
    since, until = row.get("since"), row.get("until")
    return (not since or parse(since) <= known) and (not until or known <= parse(until))


def flag_hidden(component: str, flag: str) -> bool:
    """Return whether a component can have the flag although its --help does not list it."""
    return bool(data()["flags"][component].get(flag, {}).get("hidden"))


def first_minor(fact: str, value: Any) -> str:
    """Return the first minor in which a fact has a value, such as 1.19."""
    rows = data()["facts"][fact]
    return str(min((since for since, row in rows.items() if row[0] == value), key=parse))


@functools.cache
def data() -> Any:
    """Return the content of templates/facts.yaml."""
    return derived.value("facts", [FILE], _parsed)


def _parsed() -> Any:
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    # libyaml, if PyYAML has it, parses eight times as fast
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(FILE.read_text(), loader)  # noqa: S506 - both are safe loaders


@functools.cache
def _facts(requested: Minor, known: Minor, note: str) -> Facts:
    tables = data()
    values = {name: _value_in(known, eras) for name, eras in tables["facts"].items()}
    health = {
        name: Endpoint(*_value_in(known, eras).split()) for name, eras in tables["health"].items()
    }
    removed = {
        plugin: since
        for plugin, (since, _) in tables["admission_removed"].items()
        if parse(since) <= known
    }
    return Facts(minor=requested, health=health, admission_removed=removed, note=note, **values)


def _value_in(minor: Minor, eras: Mapping[str, list[Any]]) -> Any:
    """Return the value of the last row that starts at or before a minor."""
    start = max((since for since in eras if parse(since) <= minor), key=parse)
    value = eras[start][0]
    return tuple(value) if isinstance(value, list) else value


def _clamp(requested: Minor) -> Minor:
    """Return the known minor whose facts are used. Raises Failure for a minor that is too old."""
    oldest, newest = parse(data()["oldest"]), parse(data()["newest"])
    if requested < oldest:
        raise Failure(
            f"Kubernetes {requested} is older than {oldest}, the oldest supported minor",
            f"use {oldest} or newer, for example version: v{oldest}.3",
        )
    return min(requested, newest)
