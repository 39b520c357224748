"""Convert text and YAML values to the type of a setting."""

from __future__ import annotations

import difflib
from typing import Any, Literal, get_args, get_origin

from tasks.core.errors import Failure
from tasks.settings.declare import Pair
from tasks.settings.table import Row

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def convert(raw: Any, row: Row, source: str) -> Any:
    """Convert text or a YAML value to the type of its setting. Raises Failure naming the source."""
    kind = row.kind
    try:
        if get_origin(kind) is Literal:
            text = str(raw).lower() if isinstance(raw, bool) else str(raw)
            if text in get_args(kind):
                return text
            raise ValueError("one of " + ", ".join(filter(None, get_args(kind))))
        if kind is bool:
            return _boolean(raw)
        if kind is int:
            return _integer(raw)
        if kind is float:
            return float(raw)
        if get_origin(kind) is tuple:
            item = get_args(kind)[0]
            if item is Pair and isinstance(raw, dict):
                raw = [f"{name}={value}" for name, value in raw.items()]
            return _items(_sequence(raw), item)
        return "" if raw is None else _text(raw)
    except (ValueError, TypeError) as error:
        expected = {int: "a whole number", float: "a number"}.get(kind) or str(error)
        shown = "the value" if row.secret else repr(raw)
        raise Failure(
            f"{source}: {shown} is not {expected}", f"correct {row.key} ({row.doc})"
        ) from None


def _items(raw: list[Any], kind: Any) -> tuple[str, ...]:
    """Return the items of a list as text. Raises ValueError if one is not among the choices."""
    items, choice = tuple(map(_text, raw)), get_args(kind)
    if choice and not items:
        raise ValueError(f"a list of {', '.join(choice)}")
    for item in items:
        if choice and item not in choice:
            near = difflib.get_close_matches(item, choice, n=1)
            suggestion = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"a list of {', '.join(choice)}{suggestion}")
    return items


def _text(raw: Any) -> str:
    """Return a single value as text; a boolean in lower case, as in YAML."""
    if isinstance(raw, dict | list):
        raise ValueError("text")
    return str(raw).lower() if isinstance(raw, bool) else str(raw)


def _boolean(raw: Any) -> bool:
    text = str(raw).lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
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
