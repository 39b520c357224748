"""Load the settings from the command line, the environment and stepkube.yaml.

Priority: command line (`key=value`), environment, stepkube.yaml, default.
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
from tasks.settings.paths import Paths
from tasks.settings.table import Row, table
from tasks.settings.user_paths import Place, variable
from tasks.settings.yaml_file import read

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = "stepkube.yaml"
DEFAULT = "default"
"""The source of a value that the user did not set."""
NOT_SETTINGS = frozenset(
    {
        "STEPKUBE_HOME",
        "STEPKUBE_CONFIG",
        "STEPKUBE_DEBUG",
        "STEPKUBE_COMPONENT",
        "STEPKUBE_REPORT",
        "STEPKUBE_GIT_USER",
        "STEPKUBE_GIT_WORD",
        "STEPKUBE_UPDATE_GOLDEN",
    }
)
"""STEPKUBE_ variables that are not settings."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """All settings, validated, and the paths that result from them."""

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
    """The source of each value by key: command line, variable, file, or DEFAULT."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """The source of each value by key, with the folder at which a relative path in it starts."""

    def value(self, key: str) -> Any:
        """Return the value of a dotted key, such as `api.secure_port`."""
        group, _, name = key.partition(".")
        holder = getattr(self, group) if name else self
        return getattr(holder, name or {"instance": "name"}.get(group, group))

    def source(self, key: str) -> str:
        """Return the source of a value for messages, such as `the environment (API_PORT)`."""
        return self.sources[key] if self.is_given(key) else f"the default of {key}"

    def is_given(self, key: str) -> bool:
        """Return whether the user set the key; an empty value counts too."""
        return self.sources.get(key, DEFAULT) != DEFAULT

    def is_set(self, key: str) -> bool:
        """Return whether the user set the key to a value that is not empty."""
        return self.is_given(key) and bool(self.value(key))


def load(
    environ: Mapping[str, str],
    arguments: Mapping[str, str] | None = None,
    file: Path | None = None,
    folder: Path | None = None,
) -> Settings:
    """Read and validate the settings of all sources.

    `arguments` are the `key=value` arguments of the command line. Relative paths in them and in the
    environment start at `folder`, in which the user called doit. Raises Failure naming the source
    and the key.
    """
    arguments, folder = arguments or {}, folder or Path.cwd()
    file = file or variable(environ, "STEPKUBE_CONFIG", folder) or ROOT / FILE
    rows = {row.key: row for row in table()}
    in_file = read(file, explicit=bool(environ.get("STEPKUBE_CONFIG")))
    for source, keys in ((str(file), in_file), ("the command line", arguments)):
        for key in keys:
            if key not in rows:
                raise _unknown(key, rows, source)
    _refuse_unknown_variables(environ, rows)
    values: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for key, row in rows.items():
        if key in arguments:
            raw, place = arguments[key], Place(f"the command line ({key}=)", folder)
        elif _variable_is_set(row, environ):
            raw, place = environ[row.env], Place(f"the environment ({row.env})", folder)
        elif key in in_file and (in_file[key] is not None or can_be_empty(row)):
            raw, place = in_file[key], Place(f"{file} ({key})", file.absolute().parent, environ)
        else:
            raw, place = row.default, Place(DEFAULT, folder)
        values[key] = raw if place.source == DEFAULT else convert(raw, row, place)
        places[key] = place
    home = variable(environ, "STEPKUBE_HOME", folder) or ROOT / ".stepkube"
    return _assemble(values, places, home)


def can_be_empty(row: Row) -> bool:
    """Return whether a setting can have an empty value: a text or a list."""
    return row.is_text or get_origin(row.kind) is tuple


def _variable_is_set(row: Row, environ: Mapping[str, str]) -> bool:
    """Return whether the environment sets a setting.

    An empty variable counts as not set, as in upstream's script. Exception: an empty STEPKUBE_
    variable of a text or a list sets an empty value.
    """
    is_empty_value = row.is_stepkube_variable and can_be_empty(row)
    return row.env in environ and (bool(environ[row.env].strip()) or is_empty_value)


def _refuse_unknown_variables(environ: Mapping[str, str], rows: Mapping[str, Row]) -> None:
    """Raise Failure for a STEPKUBE_ variable that does not exist: it is a typing error."""
    known = {row.env: key for key, row in rows.items() if row.is_stepkube_variable}
    by_key = {f"STEPKUBE_{key}".replace(".", "_").upper(): row.env for key, row in rows.items()}
    for name in environ:
        if name.startswith("STEPKUBE_") and not (name in known or name in NOT_SETTINGS):
            near = difflib.get_close_matches(name, [*known, *NOT_SETTINGS], n=1, cutoff=0.7)
            suggestion = by_key.get(name) or (near[0] if near else "")
            raise Failure(
                f"the environment ({name}): this variable does not exist",
                f"did you mean {suggestion}?"
                if suggestion
                else "use a variable of docs/configuration.md",
            )


def _unknown(key: str, rows: Mapping[str, Row], source: str) -> Failure:
    by_env = {row.env: row.key for row in rows.values()}
    if key in by_env:
        return Failure(
            f"{source}: {key} is an environment variable, not a key", f"use {by_env[key]}"
        )
    close = difflib.get_close_matches(key, rows, n=1, cutoff=0.5)
    near = close if " " not in key else []  # a space: it is the value of an option, not a key
    hint = f"did you mean {near[0]}?" if near else "use a key of docs/configuration.md"
    if not near and source == "the command line":
        hint += "; if it is the value of an option, write --option='a=b'"
    shown = key if key.isprintable() and key.strip() == key and key else repr(key)
    return Failure(f"{source}: there is no setting named {shown}", hint)


def _assemble(values: Mapping[str, Any], places: Mapping[str, Place], home: Path) -> Settings:
    sources = {key: place.source for key, place in places.items()}
    by_group: dict[str, dict[str, Any]] = {group: {} for group in groups.GROUPS}
    for key, value in values.items():
        if "." in key:
            group, name = key.split(".", 1)
            by_group[group][name] = value
            default = getattr(groups.GROUPS[group], name)
            if name.endswith("port") and not (0 < value <= 65535 or value == default):
                off = ", or 0 for none" if default == 0 else ""
                raise Failure(f"{sources[key]}: {value} is not a port", f"use 1 to 65535{off}")
    name = values["instance"]
    for group, settings in by_group.items():
        for key in [key for key in settings if sources[f"{group}.{key}"] == DEFAULT]:
            if key.endswith("port"):
                settings[key] = instance_port(name, settings[key])
    if not _NAME.fullmatch(name):
        raise Failure(
            f"{sources['instance']}: {name!r} is not a valid instance name",
            "use at most 32 lower-case letters, digits and dashes",
        )
    instance = home / "instances" / name
    paths = Paths(
        home=home,
        instance=instance,
        certs=_folder(by_group["certs"]["dir"], instance / "certs"),
        logs=_folder(by_group["logs"]["dir"], instance / "logs"),
        etcd=_folder(by_group["etcd"]["dir"], instance / "etcd"),
        config=_config(by_group["start"]["config_dir"], instance),
    )
    group_objects = {group: groups.GROUPS[group](**items) for group, items in by_group.items()}
    mode_error = group_objects["start"].mode_error()
    if mode_error:
        mode = ",".join(group_objects["start"].mode)
        raise Failure(
            f"{sources['start.mode']}: {mode} is not a valid combination: {mode_error}",
            "remove one of the words",
        )
    return Settings(
        version=values["version"].strip() or "auto",
        name=name,
        paths=paths,
        sources=sources,
        places=places,
        **group_objects,
    )


def instance_port(instance: str, port: int) -> int:
    """Return an instance's port for a default port, so that several instances can run together.

    The instance `default` uses the default ports. The ports of other instances are calculated from
    their name. They are below the node ports of services (from 30000) and the local ports of
    connections (from 32768); only Delve's ports are above.
    """
    if instance == "default" or port == 0:
        return port
    number = zlib.crc32(instance.encode()) % 400
    return port + 100 + number * 12 if port > 32767 else port + 10000 + number * 20


def _config(value: str, instance: Path) -> Path:
    """Return the folder of rendered configuration files.

    It is one per instance, because instances can share start.config_dir.
    """
    return _folder(value, instance) / (f"stepkube-{instance.name}" if value else "config")


def _folder(value: str, default: Path) -> Path:
    return Path(value) if value else default
