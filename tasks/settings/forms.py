"""YAML forms of settings that are texts: a list or a mapping is converted to the text."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tasks.settings.declare import Flags, Items, Pairs, Thresholds

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


class Unquoted(str):
    """A text without quotes that YAML 1.1 reads as a boolean, such as `yes`, as it is written."""

    __slots__ = ()


def text(raw: Any) -> str:
    """Return a single value as text: `true` in lower case, `off` as it is written.

    Raises ValueError if it is a list or a mapping.
    """
    if isinstance(raw, dict | list):
        raise ValueError("text")
    if isinstance(raw, bool) or (isinstance(raw, Unquoted) and raw.lower() in ("true", "false")):
        return str(raw).lower()
    return "" if raw is None else str(raw)


def boolean(raw: Any) -> str:
    """Return a single value as text, and each of YAML's booleans as `true` or `false`."""
    if isinstance(raw, Unquoted):
        return "true" if raw.lower() in _TRUE else "false"
    return text(raw)


def joined(raw: Any, kind: Any) -> str:
    """Return the text of a setting whose YAML form can be a list or a mapping.

    Raises ValueError if the value has another form.
    """
    return _FORMS[kind](raw)


def _items(raw: Any) -> str:
    if isinstance(raw, dict):
        raise ValueError("a list or a text")
    return _commas(map(text, raw) if isinstance(raw, list) else text(raw).split(","), raw)


def _pairs(raw: Any) -> str:
    return _commas(_named(raw, "="), raw)


def _thresholds(raw: Any) -> str:
    return _commas(_named(raw, "<"), raw)


def _named(raw: Any, sign: str) -> Iterator[str]:
    """Yield `name=value` items of a mapping, of a list with texts and mappings, or of a text."""
    if isinstance(raw, list):
        for item in raw:
            yield from _named(item, sign) if isinstance(item, dict) else [text(item)]
    elif isinstance(raw, dict):
        for name, value in raw.items():
            yield text(name) if value is None else f"{text(name)}{sign}{boolean(value).strip()}"
    else:
        yield from text(raw).split(",")


def _commas(items: Any, raw: Any) -> str:
    """Return items as text with commas. Raises ValueError for a comma in an item of a list."""
    found = [item.strip() for item in items if item.strip()]
    if isinstance(raw, dict | list) and any("," in item for item in found):
        raise ValueError("a list whose items have no comma: write one item for each")
    return ",".join(found)


def _flags(raw: Any) -> str:
    if not isinstance(raw, dict | list):
        return text(raw)
    found: list[str] = []
    for item in [raw] if isinstance(raw, dict) else raw:
        found += _words(item) if isinstance(item, dict) else [text(item)]
    return shlex.join(found)


def _words(flags: Mapping[Any, Any]) -> Iterator[str]:
    """Yield the arguments of a mapping of flags: a list is a repeated flag, null one alone."""
    for name, value in flags.items():
        flag = f"--{text(name).lstrip('-')}"
        if value is None:
            yield flag
        elif isinstance(value, list):
            yield from (f"{flag}={boolean(item)}" for item in value)
        elif isinstance(value, dict):
            yield f"{flag}={_pairs(value)}"
        else:
            yield f"{flag}={boolean(value)}"


_FORMS: Mapping[Any, Callable[[Any], str]] = {
    Items: _items,
    Pairs: _pairs,
    Thresholds: _thresholds,
    Flags: _flags,
}


def has_form(kind: Any) -> bool:
    """Return whether a setting of this type can be a list or a mapping in YAML."""
    return kind in _FORMS
