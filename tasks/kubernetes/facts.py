"""What differs between Kubernetes minors: data (templates/facts.yaml), not ifs."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tasks.core.errors import Failure
from tasks.settings.load import ROOT

FILE = ROOT / "templates" / "facts.yaml"
_MINOR = re.compile(r"v?(\d+)\.(\d+)(?!\d)")


class Minor(NamedTuple):
    """A Kubernetes minor, written 1.20."""

    major: int
    number: int

    def __str__(self) -> str:
        return f"{self.major}.{self.number}"


@dataclass(frozen=True)
class Endpoint:
    """Where a component tells whether it is well."""

    scheme: str
    path: str


@dataclass(frozen=True)
class Facts:
    """What is true of one minor; a field's meaning and evidence stand beside it in the file.

    `note` says when the facts are those of another minor.
    """

    minor: Minor
    build_mode: str
    build_tags: tuple[str, ...]
    static_modules: tuple[str, ...]
    version_packages: tuple[str, ...]
    write_deadline_file: str
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
    health: Mapping[str, Endpoint]
    admission_removed: Mapping[str, str]
    note: str = ""


def parse(version: str) -> Minor:
    """Return the minor of `1.20`, `v1.20.2` or `v1.36.0-alpha.1`."""
    found = _MINOR.match(version)
    if not found:
        raise Failure(f"{version!r} is not a Kubernetes version", "write it like 1.20 or v1.20.2")
    return Minor(int(found[1]), int(found[2]))


def minor(version: str | Minor) -> Facts:
    """Return the facts of a minor; a newer one than is known gets the newest, with a note."""
    wanted = parse(version) if isinstance(version, str) else version
    known = _clamp(wanted)
    note = ""
    if known != wanted:
        note = (
            f"Kubernetes {wanted} is newer than {known}: treated as {known},"
            " every flag tried on the binary first"
        )
    return _facts(wanted, known, note)


def minors() -> list[Minor]:
    """Return every minor that is known, the oldest first."""
    (major, oldest), (_, newest) = parse(data()["oldest"]), parse(data()["newest"])
    return [Minor(major, number) for number in range(oldest, newest + 1)]


def flag_known(component: str, flag: str, version: str | Minor) -> bool:
    """Tell whether the component of that minor takes the flag (or its file has the field)."""
    wanted = _clamp(parse(version) if isinstance(version, str) else version)
    row = data()["flags"][component].get(flag)
    if row is None:
        return False
    since, until = row.get("since"), row.get("until")
    return (not since or parse(since) <= wanted) and (not until or wanted <= parse(until))


def flag_hidden(component: str, flag: str) -> bool:
    """Tell whether --help may keep silent about a flag that is there."""
    return bool(data()["flags"][component].get(flag, {}).get("hidden"))


def first(fact: str, value: Any) -> str:
    """Return the first minor of which a fact has a value, such as 1.19."""
    rows = data()["facts"][fact]
    return str(min((since for since, row in rows.items() if row[0] == value), key=parse))


@functools.cache
def data() -> Any:
    """Return the parsed file."""
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    return yaml.safe_load(FILE.read_text())


@functools.cache
def _facts(wanted: Minor, known: Minor, note: str) -> Facts:
    tables = data()
    values = {name: _at(eras, known) for name, eras in tables["facts"].items()}
    health = {name: Endpoint(*_at(eras, known).split()) for name, eras in tables["health"].items()}
    removed = {
        plugin: since
        for plugin, (since, _) in tables["admission_removed"].items()
        if parse(since) <= known
    }
    return Facts(minor=wanted, health=health, admission_removed=removed, note=note, **values)


def _at(eras: Mapping[str, list[Any]], wanted: Minor) -> Any:
    """Return the value of the last row that starts at or before `wanted`."""
    start = max((since for since in eras if parse(since) <= wanted), key=parse)
    value = eras[start][0]
    return tuple(value) if isinstance(value, list) else value


def _clamp(wanted: Minor) -> Minor:
    oldest, newest = parse(data()["oldest"]), parse(data()["newest"])
    if wanted < oldest:
        raise Failure(
            f"Kubernetes {wanted} is older than {oldest}, the oldest that works here",
            f"choose {oldest} or newer, for example version: v{oldest}.3",
        )
    return min(wanted, newest)
