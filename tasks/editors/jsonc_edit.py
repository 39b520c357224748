"""Edit JSON with comments in place: add and remove list entries, keep every other byte.

The user's order, indentation and comments stay, because text is inserted or removed at positions
and the file is never written from parsed values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tasks.editors.jsonc_parser import Item, ParseError, line_of, parse

_REST_OF_LINE = re.compile(r"[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/)(?=[ \t]*\r?\n)")
_UNIT = "    "

Edit = tuple[int, int, str]
"""Start, end, and the new text between them."""


def keys(text: str) -> set[str]:
    """Return the names of the members of the root object; empty for a blank text."""
    return {item.key for item in parse(text).items} if text.strip() else set()


def add(text: str, lists: Mapping[str, Sequence[Any]]) -> str:
    """Return a text with entries added at the end of its lists; a missing list is created."""
    newline = "\r\n" if "\r\n" in text else "\n"
    for key, entries in lists.items():
        root = parse(text)
        unit = _indent(text, root.items, _UNIT)
        at = _list(text, root, key)
        if at is None:
            member = f'"{key}": ' + _pretty(list(entries), newline + unit, unit, levels=3)
            edits = _appended(text, root, [member], newline + unit, newline)
        else:
            existing = root.items[at]
            gap = newline + _indent(text, existing.items, unit * 2)
            inner = [_pretty(entry, gap, unit, levels=2) for entry in entries]
            edits = _appended(text, existing, inner, gap, newline + unit)
        text = _edited(text, edits)
    return text


def remove(text: str, lists: Iterable[str], prefix: str, drop: Collection[str] = ()) -> str:
    """Return a text without the entries of its lists whose name or label starts with a prefix.

    A list that is named in `drop` and becomes empty is removed too.
    """
    for key in lists:
        root = parse(text)
        at = _list(text, root, key)
        if at is None:
            continue
        numbered = enumerate(root.items[at].items)
        matching = {index for index, item in numbered if _name(item).startswith(prefix)}
        text = _without(text, root.items[at], matching)
        root = parse(text)
        if key in drop and _is_blank(text, root.items[at]):
            text = _without(text, root, {at})
    return text


def entries(text: str, lists: Iterable[str], prefix: str) -> dict[str, list[Any]]:
    """Return the entries whose name or label starts with a prefix, by list."""
    root = parse(text)
    found = {}
    for key in lists:
        at = _list(text, root, key)
        items = () if at is None else root.items[at].items
        found[key] = [item.value for item in items if _name(item).startswith(prefix)]
    return found


def _list(text: str, root: Item, key: str) -> int | None:
    """Return the index of the root member with this list, None when it does not exist."""
    for at, item in reversed(tuple(enumerate(root.items))):
        if item.key == key:
            if not isinstance(item.value, list):
                raise ParseError(line_of(text, item.start), f'"{key}" is not a list [ ... ]')
            return at
    return None


def _name(item: Item) -> str:
    value = item.value if isinstance(item.value, dict) else {}
    return str(value.get("name", value.get("label", "")))


def _is_blank(text: str, parent: Item) -> bool:
    return not text[parent.body + 1 : parent.end - 1].strip()


def _without(text: str, parent: Item, removed: Collection[int]) -> str:
    """Return a text without some items of a list or object; comments stay.

    The last remaining item keeps its comma only if the original last item had one.
    """
    items = parent.items
    left = [item for at, item in enumerate(items) if at not in removed]
    commas = [items[at].comma for at in removed]
    if removed and left and items[-1].comma is None:
        commas.append(left[-1].comma)
    edits = [(items[at].lead, items[at].end, "") for at in removed]
    edits += {(at, at + 1, "") for at in commas if at is not None}
    shorter = _edited(text, edits)
    inside = parent.body + 1, parent.end - 1 - (len(text) - len(shorter))
    if removed and not shorter[slice(*inside)].strip():
        return _edited(shorter, [(*inside, "")])
    return shorter


def _appended(text: str, parent: Item, inner: Sequence[str], gap: str, closing: str) -> list[Edit]:
    """Return the edits that append items to a list or object; `_without` undoes them."""
    new = gap + f",{gap}".join(inner)
    if not parent.items:
        start, end = parent.body + 1, parent.end - 1
        blank = start + len(text[start:end].rstrip())
        return [(start, end, new + closing)] if blank == start else [(blank, blank, new)]
    last = parent.items[-1]
    at = last.end if last.comma is None else last.comma + 1
    comment = _REST_OF_LINE.match(text, at)
    place = comment.end() if comment else at
    if last.comma is None:
        return [(at, at, ","), (place, place, new)]
    return [(place, place, f"{new},")]


def _edited(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with the edits applied; edits at one position keep their order."""
    # from the last position to the first: an edit does not move the positions before it
    for start, end, new in sorted(edits, key=lambda edit: edit[:2])[::-1]:
        text = text[:start] + new + text[end:]
    return text


def _indent(text: str, items: Sequence[Item], default: str) -> str:
    """Return the indentation of the first item, or a default if other text precedes it."""
    if not items:
        return default
    before = text[text.rfind("\n", 0, items[0].start) + 1 : items[0].start]
    return before if before.isspace() else default


def _pretty(value: Any, gap: str, unit: str, levels: int) -> str:
    """Return a value as JSON; values deeper than `levels` are on one line."""
    if not levels or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    inner = gap + unit
    if isinstance(value, list):
        parts = [_pretty(item, inner, unit, levels - 1) for item in value]
        return f"[{inner}" + f",{inner}".join(parts) + f"{gap}]"
    parts = [f'"{key}": {_pretty(item, inner, unit, levels - 1)}' for key, item in value.items()]
    return f"{{{inner}" + f",{inner}".join(parts) + f"{gap}}}"
