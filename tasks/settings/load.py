"""Loads the settings: from `key=value` words, the environment and stepkube.yaml.

Precedence: command line, environment, stepkube.yaml, default.
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from tasks.core.errors import Failure
from tasks.settings import groups
from tasks.settings.convert import convert
from tasks.settings.paths import Paths, user_path
from tasks.settings.table import Row, table
from tasks.settings.yaml_file import read

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = "stepkube.yaml"
DEFAULT = "default"
"""The source of a value that nobody named."""
NOT_SETTINGS = frozenset(
    {
        "STEPKUBE_HOME",
        "STEPKUBE_CONFIG",
        "STEPKUBE_DEBUG",
        "STEPKUBE_COMPONENT",
        "STEPKUBE_GIT_USER",
        "STEPKUBE_GIT_WORD",
        "STEPKUBE_UPDATE_GOLDEN",
    }
)
"""STEPKUBE_ variables that are not settings."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """Everything a user can choose, validated, plus the paths that follow from it."""

    version: str
    name: str
    paths: Paths
    origin: groups.Origin = groups.Origin()
    mirror: groups.Mirror = groups.Mirror()
    build: groups.Build = groups.Build()
    api: groups.Api = groups.Api()
    etcd: groups.Etcd = groups.Etcd()
    controller_manager: groups.ControllerManager = groups.ControllerManager()
    cloud_controller_manager: groups.CloudControllerManager = groups.CloudControllerManager()
    scheduler: groups.Scheduler = groups.Scheduler()
    kubelet: groups.Kubelet = groups.Kubelet()
    proxy: groups.Proxy = groups.Proxy()
    dns: groups.Dns = groups.Dns()
    addons: groups.Addons = groups.Addons()
    node: groups.Node = groups.Node()
    start: groups.Start = groups.Start()
    certs: groups.Certs = groups.Certs()
    logs: groups.Logs = groups.Logs()
    debug: groups.Debug = groups.Debug()
    sources: Mapping[str, str] = field(default_factory=dict)

    def value(self, key: str) -> Any:
        """Return the value of a dotted key, such as `api.secure_port`."""
        group, _, name = key.partition(".")
        holder = getattr(self, group) if name else self
        return getattr(holder, name or {"instance": "name"}.get(group, group))

    def source(self, key: str) -> str:
        """Return where a value comes from, for messages: variable, file or word, or its default."""
        return self.sources[key] if self.is_named(key) else f"the default of {key}"

    def is_named(self, key: str) -> bool:
        """Whether the user named the key anywhere, also with an empty value."""
        return self.sources.get(key, DEFAULT) != DEFAULT

    def is_set(self, key: str) -> bool:
        """Whether the user gave the key a value that is not empty."""
        return self.is_named(key) and bool(self.value(key))


def load(
    environ: Mapping[str, str],
    words: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Read, validate and combine the three sources.

    `words` are the `key=value` words of the command line. Raises Failure naming file and key.
    """
    words = words or {}
    file = file or Path(environ.get("STEPKUBE_CONFIG") or ROOT / FILE)
    rows = {row.key: row for row in table()}
    written = read(file, explicit="STEPKUBE_CONFIG" in environ)
    for where, keys in ((str(file), written), ("the command line", words)):
        for key in keys:
            if key not in rows:
                raise _unknown(key, rows, where)
    _require_known(environ, rows)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, row in rows.items():
        if key in words:
            raw, source = words[key], f"the command line ({key}=)"
        elif _given(row, environ):
            raw, source = environ[row.env], f"the environment ({row.env})"
        elif key in written:
            raw, source = written[key], f"{file} ({key})"
        else:
            raw, source = row.default, DEFAULT
        values[key] = raw if source == DEFAULT else convert(raw, row, source)
        sources[key] = source
    return _assemble(values, sources, environ)


def _given(row: Row, environ: Mapping[str, str]) -> bool:
    """Tell whether the environment has a value: an empty one is none, as in upstream's script.

    Only to a text or list of this tool's own can an empty variable mean something.
    """
    takes_empty = row.own and (row.kind is str or get_origin(row.kind) is tuple)
    return row.env in environ and (bool(environ[row.env].strip()) or takes_empty)


def _require_known(environ: Mapping[str, str], rows: Mapping[str, Row]) -> None:
    """Refuse a variable by this tool's prefix that means nothing: it is a typing error."""
    known = {row.env: key for key, row in rows.items() if row.own}
    by_key = {f"STEPKUBE_{key}".replace(".", "_").upper(): row.env for key, row in rows.items()}
    for name in environ:
        if name.startswith("STEPKUBE_") and not (name in known or name in NOT_SETTINGS):
            near = difflib.get_close_matches(name, [*known, *NOT_SETTINGS], n=1, cutoff=0.7)
            meant = by_key.get(name) or (near[0] if near else "")
            raise Failure(
                f"the environment ({name}): there is no such variable",
                f"did you mean {meant}?" if meant else "docs/configuration.md lists all variables",
            )


def _unknown(key: str, rows: Mapping[str, Row], where: str) -> Failure:
    by_env = {row.env: row.key for row in rows.values()}
    if key in by_env:
        return Failure(f"{where}: {key} is an environment variable", f"write {by_env[key]} here")
    words = difflib.get_close_matches(key, rows, n=1, cutoff=0.5)
    near = words if " " not in key else []  # more than a key: what an option was to be given
    hint = (
        f"did you mean {near[0]}?"
        if near
        else (
            "docs/configuration.md lists all keys; an option whose value has an = in it is written"
            " --option='a=b'"
        )
    )
    return Failure(f"{where}: there is no setting named {key}", hint)


def _assemble(
    values: Mapping[str, Any], sources: Mapping[str, str], environ: Mapping[str, str]
) -> Settings:
    by_group: dict[str, dict[str, Any]] = {group: {} for group in groups.GROUPS}
    for key, value in values.items():
        if "." in key:
            group, name = key.split(".", 1)
            by_group[group][name] = value
            default = getattr(groups.GROUPS[group], name)
            if name.endswith("port") and not (0 < value <= 65535 or value == default):
                none = ", or 0 for none" if default == 0 else ""
                raise Failure(f"{sources[key]}: {value} is not a port", f"use 1 to 65535{none}")
    name = values["instance"]
    for group, settings in by_group.items():
        for key in [key for key in settings if sources[f"{group}.{key}"] == DEFAULT]:
            if key.endswith("port"):
                settings[key] = instance_port(name, settings[key])
    if not _NAME.fullmatch(name):
        raise Failure(
            f"{sources['instance']}: {name!r} cannot be the name of an instance",
            "use small letters, digits and dashes",
        )
    home = user_path(environ.get("STEPKUBE_HOME") or ROOT / ".stepkube")
    instance = home / "instances" / name
    paths = Paths(
        home=home,
        instance=instance,
        certs=_folder(by_group["certs"]["dir"], instance / "certs"),
        logs=_folder(by_group["logs"]["dir"], instance / "logs"),
        etcd=_folder(by_group["etcd"]["dir"], instance / "etcd"),
        config=_config(by_group["start"]["config_dir"], instance),
    )
    made = {group: groups.GROUPS[group](**items) for group, items in by_group.items()}
    against = made["start"].contradiction()
    if against:
        words = ",".join(made["start"].mode)
        raise Failure(
            f"{sources['start.mode']}: {words} contradicts itself: {against}",
            "leave one of the words out",
        )
    return Settings(
        version=values["version"].strip() or "auto",
        name=name,
        paths=paths,
        sources=dict(sources),
        **made,
    )


def instance_port(instance: str, port: int) -> int:
    """Return an instance's own port for a default one, so that several run side by side.

    The instance `default` keeps the usual ports; the others have theirs by their name: below the
    ports of Kubernetes' own services (30000) and of connections (32768), but for Delve's.
    """
    if instance == "default" or port == 0:
        return port
    number = zlib.crc32(instance.encode()) % 400
    return port + 100 + number * 12 if port > 32767 else port + 10000 + number * 20


def _config(value: str, instance: Path) -> Path:
    """Return the folder of rendered files: one per instance, whoever shares the one above it."""
    return _folder(value, instance) / (f"stepkube-{instance.name}" if value else "config")


def _folder(value: str, default: Path) -> Path:
    return user_path(value) if value else default
