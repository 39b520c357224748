"""Read stepkube.yaml: values by dotted key; invalid YAML and duplicate keys are refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.core.errors import Failure
from tasks.settings import groups as options
from tasks.settings.forms import Unquoted

_LIMIT = 1 << 20
_MOST_NODES = 100_000
_REFUSED = (ValueError, TypeError, ArithmeticError, AttributeError, LookupError)
"""What PyYAML raises for values of a wrong form, in addition to its own errors."""


def read(file: Path, explicit: bool) -> dict[str, Any]:
    """Return the values of a file by dotted key, such as `api.secure_port`.

    A file that does not exist has no keys, but with `explicit` (the user set its path) that is a
    failure. Raises Failure naming the file and the line or key.
    """
    if not explicit and not file.exists():
        return {}
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    try:
        text = _read(file)
        node = yaml.compose(text, yaml.SafeLoader)
        _require_small(node)
        tree = yaml.load(text, _loader())  # noqa: S506 - a safe loader with fewer kinds
        repeated = next(_repeated(node), None)
    except FileNotFoundError:
        raise Failure(f"{file} does not exist", "correct STEPKUBE_CONFIG or unset it") from None
    except OSError as error:
        raise Failure(
            f"cannot read {file}: {error.strerror}",
            "make the file readable, or set STEPKUBE_CONFIG to another file",
        ) from error
    except RecursionError as error:
        raise Failure(f"{file} is nested too deeply", "write one value per key") from error
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        ArithmeticError,
        AttributeError,
        LookupError,
    ) as error:
        reason = " ".join(str(error).split())[:300]
        raise Failure(f"{file} is not valid YAML: {reason}", "correct that line") from error
    if repeated:
        key, line = repeated
        raise Failure(f"{file}: duplicate key {key} (again in line {line})", "remove one of them")
    return _flatten(tree, file)


def _read(file: Path) -> str:
    """Return the text of a file. Raises OSError if it is not one: reading a pipe could wait."""
    if file.exists() and not file.is_file() and file != Path(os.devnull):
        raise OSError(errno.EINVAL, "it is not a file")
    with file.open("rb") as stream:
        data = stream.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise ValueError(f"it is larger than {_LIMIT >> 20} MiB")
    return data.decode()


def _require_small(top: Any) -> None:
    """Raise ValueError if aliases make a file much larger, or if a value contains itself."""
    nodes, count = [top], 0
    while nodes:
        count += 1
        if count > _MOST_NODES:
            raise ValueError("it has too many values: aliases repeat them")
        value = getattr(nodes.pop(), "value", None)
        for item in value if isinstance(value, list) else ():
            nodes += item if isinstance(item, tuple) else (item,)


def _loader() -> Any:
    """Return a YAML loader that reads numbers, dates and booleans as they are written.

    As a number, 1.30 would become 1.3, 0123456 (a commit) 42798, and 8080:53 (a port forward)
    484853. `off` is a checksum database, or false.
    """
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    class Loader(yaml.SafeLoader):
        """SafeLoader that reads only null as another kind of value than text."""

    kept = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:null")
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in kept]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_constructor(kept[0], lambda _, node: Unquoted(node.value))
    return Loader


def _repeated(node: Any) -> Iterator[tuple[str, int]]:
    """Yield the duplicate keys of a YAML mapping and its groups, with their line numbers."""
    groups = [("", node)]
    for prefix, mapping in groups:
        seen = set()
        for key, value in mapping.value if getattr(mapping, "id", "") == "mapping" else ():
            name = f"{prefix}{key.value}"
            if name in seen:
                yield name, key.start_mark.line + 1
            seen.add(name)
            if not prefix:
                groups.append((f"{name}.", value))


def _flatten(tree: Any, file: Path) -> dict[str, Any]:
    """Return the values by dotted key. Raises Failure for a wrong structure or a duplicate key."""
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise Failure(
            f"{file}: the file is not a mapping of keys to values",
            "write for example version: v1.20.2",
        )
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if key in options.GROUPS:
            if not isinstance(value, dict | None):
                raise Failure(f"{file}: {key} is a group of keys", f"write its keys below {key}:")
            inner = {f"{key}.{name}": item for name, item in (value or {}).items()}
        else:
            inner = {str(key): value}
        for name in flat.keys() & inner.keys():
            raise Failure(f"{file}: duplicate key {name}", "remove one of them")
        flat |= inner
    return flat
