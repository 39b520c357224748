"""Convert text and YAML values to the type of a setting."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from typing import Any, Literal, get_args, get_origin

from tasks.core.errors import Failure
from tasks.settings import forms, user_paths
from tasks.settings.declare import Pair
from tasks.settings.table import Row
from tasks.settings.user_paths import Place

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def convert(raw: Any, row: Row, place: Place) -> Any:
    """Convert text or a YAML value to the type of its setting. Raises Failure naming the source."""
    kind = row.kind
    try:
        _require_plain(raw)
        if get_origin(kind) is Literal:
            for text in (forms.text(raw), forms.boolean(raw)):
                if text in get_args(kind):
                    return text
            raise ValueError("one of " + ", ".join(filter(None, get_args(kind))))
        if kind is bool:
            return _boolean(raw)
        if kind is int:
            return _integer(raw)
        if kind is float:
            return _number(raw)
        if get_origin(kind) is tuple:
            item = get_args(kind)[0]
            if item is Pair and isinstance(raw, dict):
                raw = [f"{name}={value}" for name, value in raw.items()]
            return _items(_sequence(raw), item, place)
        if forms.has_form(kind):
            return forms.joined(raw, kind)
        text = forms.text(raw)
        if user_paths.is_path(kind) and text != row.word:
            return user_paths.resolve(text, kind, place)
        return text
    except (ValueError, TypeError, OverflowError) as error:
        expected = {int: "a whole number", float: "a number"}.get(kind) or str(error)
        shown = "the value" if row.secret else reprlib.repr(raw)
        raise Failure(
            f"{place.source}: {shown} is not {expected}", f"correct {row.key} ({row.doc})"
        ) from None


def _items(raw: list[Any], kind: Any, place: Place) -> tuple[str, ...]:
    """Return the items of a list as text. Raises ValueError if one is not among the choices."""
    items, choice = tuple(map(forms.text, raw)), get_args(kind)
    if user_paths.is_path(kind):
        items = tuple(user_paths.resolve(item, kind, place) for item in items)
    if choice and not items:
        raise ValueError(f"a list of {', '.join(choice)}")
    for item in items:
        if choice and item not in choice:
            near = difflib.get_close_matches(item, choice, n=1)
            suggestion = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"a list of {', '.join(choice)}{suggestion}")
    return items


def _boolean(raw: Any) -> bool:
    text = str(raw).lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("true or false")


def _integer(raw: Any) -> int:
    if isinstance(raw, bool | float):
        raise TypeError
    if isinstance(raw, str) and not re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", raw):
        raise TypeError
    return int(raw)


def _number(raw: Any) -> float:
    if not math.isfinite(number := float(raw)):
        raise TypeError
    return number


def _require_plain(raw: Any) -> None:
    """Raise ValueError for what no program can get as an argument, and no file can contain."""
    if isinstance(raw, dict):
        _require_plain([*raw, *raw.values()])
    elif isinstance(raw, list):
        for item in raw:
            _require_plain(item)
    elif isinstance(raw, bytes):
        raise ValueError("text")
    elif isinstance(raw, str) and "\0" in raw:
        raise ValueError("text without NUL bytes")
    elif isinstance(raw, str) and not raw.isascii():
        _require_utf8(raw)


def _require_utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("UTF-8 text") from None


def _sequence(raw: Any) -> list[Any]:
    if raw is None:
        return []
    if isinstance(raw, str):
        return [item.strip() for item in raw.split(",") if item.strip()]
    if isinstance(raw, list):
        return raw
    raise ValueError("a list")
