"""What stepkube.yaml says, as dotted keys: valid YAML, nothing said twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.core.errors import Failure
from tasks.settings import groups as options


def read(file: Path, explicit: bool) -> dict[str, Any]:
    """Return the keys of a file and their values; one that is not there has none.

    With `explicit`, a user named the file. Raises Failure naming file and line or key.
    """
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    try:
        text = file.read_text()
        tree = yaml.load(text, _loader())  # noqa: S506 - a safe loader with fewer kinds
        repeated = next(_repeated(yaml.compose(text, yaml.SafeLoader)), None)
    except FileNotFoundError:
        if explicit:
            raise Failure(f"{file} does not exist", "correct or unset STEPKUBE_CONFIG") from None
        return {}
    except OSError as error:
        raise Failure(
            f"cannot read {file}: {error.strerror}", "name a file that can be read"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise Failure(f"{file} is not valid YAML: {where}", "correct the line it names") from error
    if repeated:
        key, line = repeated
        raise Failure(
            f"{file}: {key} stands there twice, again in line {line}",
            "YAML would forget the first one: make it one",
        )
    return _flatten(tree, file)


def _loader() -> Any:
    """Return a loader that leaves 1.30 as it was written: as a number it would be 1.3."""
    import yaml  # noqa: PLC0415 - `doit list` stays fast

    class Loader(yaml.SafeLoader):
        """Knows no numbers with a point."""

    Loader.yaml_implicit_resolvers = {
        begin: [(tag, form) for tag, form in kinds if not tag.endswith(":float")]
        for begin, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _repeated(node: Any) -> Iterator[tuple[str, int]]:
    """Yield keys that a mapping, or a group in it, has twice, with their lines."""
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
    """Turn nested groups into dotted keys."""
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise Failure(f"{file}: expected keys and values", "for example: version: v1.20.2")
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if key in options.GROUPS:
            if not isinstance(value, dict):
                raise Failure(f"{file}: {key} is a group of keys", f"write its keys below {key}:")
            inner = {f"{key}.{name}": item for name, item in value.items()}
        else:
            inner = {str(key): value}
        for name in flat.keys() & inner.keys():
            raise Failure(f"{file}: {name} stands there twice", "leave one of them out")
        flat |= inner
    return flat
