"""The only reader of stepkube.yaml, of the environment and of `key=value` words.

Precedence: command line, environment, stepkube.yaml, default.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tasks import options
from tasks.failure import Failure
from tasks.paths import Paths

ROOT = Path(__file__).resolve().parent.parent
FILE = "stepkube.yaml"
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """Everything a user can choose, validated, plus the paths that follow from it."""

    version: str
    name: str
    paths: Paths
    origin: options.Origin = options.Origin()
    mirror: options.Mirror = options.Mirror()
    build: options.Build = options.Build()
    api: options.Api = options.Api()
    etcd: options.Etcd = options.Etcd()
    controller_manager: options.ControllerManager = options.ControllerManager()
    cloud_controller_manager: options.CloudControllerManager = options.CloudControllerManager()
    scheduler: options.Scheduler = options.Scheduler()
    kubelet: options.Kubelet = options.Kubelet()
    proxy: options.Proxy = options.Proxy()
    dns: options.Dns = options.Dns()
    addons: options.Addons = options.Addons()
    node: options.Node = options.Node()
    start: options.Start = options.Start()
    certs: options.Certs = options.Certs()
    logs: options.Logs = options.Logs()
    debug: options.Debug = options.Debug()
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One line of the table: a setting's key, environment name, type and default."""

    key: str
    env: str
    kind: Any
    default: Any
    doc: str
    since: str = ""
    until: str = ""


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
    written = _flatten(_yaml(file, explicit="STEPKUBE_CONFIG" in environ), file, rows)
    for key in words:
        if key not in rows:
            raise _unknown(key, rows, "the command line")
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, row in rows.items():
        if key in words:
            raw, source = words[key], f"the command line ({key}=)"
        elif row.env in environ:
            raw, source = environ[row.env], f"the environment ({row.env})"
        elif key in written:
            raw, source = written[key], f"{file} ({key})"
        else:
            raw, source = row.default, "default"
        values[key] = raw if source == "default" else _convert(raw, row, source)
        sources[key] = source
    return _assemble(values, sources, environ)


@functools.cache
def current() -> Settings:
    """Return the settings of this process: real environment, words of the doit command line."""
    from doit import doit_cmd  # noqa: PLC0415 - only meaningful inside a doit run

    return load(os.environ, doit_cmd._CMDLINE_VARS or {})


@functools.cache
def table() -> list[Row]:
    """Return every setting there is, in order of declaration."""
    rows = [
        Row("version", "STEPKUBE_VERSION", str, "auto",
             "auto, a release (v1.20.2), a branch or a commit"),
        Row("instance", "STEPKUBE_INSTANCE", str, "default", "name of the cluster"),
    ]
    for group, kind in options.GROUPS.items():
        hints = get_type_hints(kind)
        for item in fields(kind):
            env = item.metadata["env"] or f"STEPKUBE_{group}_{item.name}".upper()
            key = f"{group}.{item.name}"
            about = item.metadata
            rows.append(
                Row(
                    key, env, hints[item.name], item.default,
                    about["doc"], about["since"], about["until"],
                )
            )
    return rows


def _yaml(file: Path, explicit: bool) -> Any:
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    try:
        return yaml.safe_load(file.read_text())
    except FileNotFoundError:
        if explicit:
            raise Failure(f"{file} does not exist", "correct or unset STEPKUBE_CONFIG") from None
        return None
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise Failure(f"{file} is not valid YAML: {where}", "correct the line it names") from error


def _flatten(tree: Any, file: Path, rows: Mapping[str, Row]) -> dict[str, Any]:
    """Turn nested groups into dotted keys; every key must be in the table."""
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise Failure(f"{file}: expected keys and values", "for example: version: v1.20.2")
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if key in options.GROUPS:
            if not isinstance(value, dict):
                raise Failure(f"{file}: {key} is a group of keys", f"write its keys below {key}:")
            flat |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            flat[str(key)] = value
    for key in flat:
        if key not in rows:
            raise _unknown(key, rows, str(file))
    return flat


def _unknown(key: str, rows: Mapping[str, Row], where: str) -> Failure:
    by_env = {row.env: row.key for row in rows.values()}
    if key in by_env:
        return Failure(f"{where}: {key} is an environment variable", f"write {by_env[key]} here")
    near = difflib.get_close_matches(key, rows, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else (
        "docs/configuration.md lists all keys; an option whose value has an = in it is written"
        " --option='a=b'"
    )
    return Failure(f"{where}: there is no setting named {key}", hint)


def _convert(raw: Any, row: Row, source: str) -> Any:
    """Convert text or a YAML value to the type of its row."""
    kind = row.kind
    try:
        if get_origin(kind) is Literal:
            if str(raw) in get_args(kind):
                return str(raw)
            raise ValueError("one of " + ", ".join(get_args(kind)))
        if kind is bool:
            return _boolean(raw)
        if kind is int:
            return _integer(raw)
        if kind is float:
            return float(raw)
        if get_origin(kind) is tuple:
            return tuple(str(item) for item in _sequence(raw))
        if raw is None:
            return ""
        if isinstance(raw, dict | list):
            raise ValueError("text")
        return str(raw).lower() if isinstance(raw, bool) else str(raw)
    except (ValueError, TypeError) as error:
        expected = {int: "a whole number", float: "a number"}.get(kind) or str(error)
        raise Failure(f"{source}: {raw!r} is not {expected}", f"{row.key}: {row.doc}") from None


def _boolean(raw: Any) -> bool:
    word = str(raw).lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("true or false")


def _integer(raw: Any) -> int:
    if isinstance(raw, bool | float):
        raise TypeError
    return int(raw)


def _sequence(raw: Any) -> list[Any]:
    if isinstance(raw, str):
        return [item.strip() for item in raw.split(",") if item.strip()]
    if isinstance(raw, list):
        return raw
    raise ValueError("a list")


def _assemble(
    values: Mapping[str, Any], sources: Mapping[str, str], environ: Mapping[str, str]
) -> Settings:
    groups: dict[str, dict[str, Any]] = {group: {} for group in options.GROUPS}
    for key, value in values.items():
        if "." in key:
            group, name = key.split(".", 1)
            groups[group][name] = value
            if name.endswith("port") and not 0 <= value <= 65535:
                raise Failure(f"{sources[key]}: {value} is not a port", "use 1 to 65535")
    name = values["instance"]
    for group, settings in groups.items():
        for key in [key for key in settings if sources[f"{group}.{key}"] == "default"]:
            if key.endswith("port"):
                settings[key] = own_port(name, settings[key])
    if not _NAME.fullmatch(name):
        raise Failure(
            f"{sources['instance']}: {name!r} cannot be the name of an instance",
            "use small letters, digits and dashes",
        )
    home = Path(environ.get("STEPKUBE_HOME") or ROOT / ".stepkube").expanduser().absolute()
    instance = home / "instances" / name
    paths = Paths(
        home=home,
        instance=instance,
        certs=_folder(groups["certs"]["dir"], instance / "certs"),
        logs=_folder(groups["logs"]["dir"], instance / "logs"),
        etcd=_folder(groups["etcd"]["dir"], instance / "etcd"),
    )
    made = {group: options.GROUPS[group](**items) for group, items in groups.items()}
    return Settings(
        version=values["version"], name=name, paths=paths, sources=dict(sources), **made
    )


def own_port(instance: str, port: int) -> int:
    """Return an instance's own port for a default one, so that several run side by side.

    The instance `default` keeps the usual ports; the others have theirs by their name.
    """
    if instance == "default" or port == 0:
        return port
    number = zlib.crc32(instance.encode()) % 400
    return port + 100 + number * 10 if port > 32767 else port + 10000 + number * 50


def _folder(value: str, default: Path) -> Path:
    return Path(value).expanduser().absolute() if value else default
