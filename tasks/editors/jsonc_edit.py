"""Edits of JSON with comments that keep every byte they are not about.

The user's order, indentation and comments stay: text is cut out or put in at positions; nothing is
ever written anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tasks.editors.jsonc_parser import Damaged, Item, line_of, parse

_REST_OF_LINE = re.compile(r"[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/)(?=[ \t]*\r?\n)")
_UNIT = "    "

Edit = tuple[int, int, str]
"""From where to where, and what shall stand there instead."""


def keys(text: str) -> set[str]:
    """Return the names of the members a text has; none when it is blank."""
    return {item.key for item in parse(text).items} if text.strip() else set()


def add(text: str, lists: Mapping[str, Sequence[Any]]) -> str:
    """Return a text with entries at the end of its lists; a list that it lacks is made."""
    newline = "\r\n" if "\r\n" in text else "\n"
    for key, entries in lists.items():
        root = parse(text)
        unit = _indent(text, root.items, _UNIT)
        at = _list(text, root, key)
        if at is None:
            member = f'"{key}": ' + _pretty(list(entries), newline + unit, unit, levels=3)
            edits = _appended(text, root, [member], newline + unit, newline)
        else:
            found = root.items[at]
            gap = newline + _indent(text, found.items, unit * 2)
            inner = [_pretty(entry, gap, unit, levels=2) for entry in entries]
            edits = _appended(text, found, inner, gap, newline + unit)
        text = _edited(text, edits)
    return text


def strip(text: str, lists: Iterable[str], prefix: str, drop: Collection[str] = ()) -> str:
    """Return a text without those entries of its lists whose name starts with a prefix.

    A list named in `drop` goes too when nothing is left in it.
    """
    for key in lists:
        root = parse(text)
        at = _list(text, root, key)
        if at is None:
            continue
        found = root.items[at].items
        mine = {place for place, item in enumerate(found) if _name(item).startswith(prefix)}
        text = _without(text, root.items[at], mine)
        root = parse(text)
        if key in drop and _is_blank(text, root.items[at]):
            text = _without(text, root, {at})
    return text


def _list(text: str, root: Item, key: str) -> int | None:
    """Return which member of the root is the list of that name, None when there is none."""
    for at, item in reversed(tuple(enumerate(root.items))):
        if item.key == key:
            if not isinstance(item.value, list):
                raise Damaged(line_of(text, item.start), f'"{key}" is not a list [ ... ]')
            return at
    return None


def _name(item: Item) -> str:
    return str(item.value.get("name", "")) if isinstance(item.value, dict) else ""


def _is_blank(text: str, holder: Item) -> bool:
    return not text[holder.body + 1 : holder.end - 1].strip()


def _without(text: str, holder: Item, gone: Collection[int]) -> str:
    """Return a text with items taken out of a list or object; comments stay.

    The last item left keeps a comma only if the last of all had one.
    """
    items = holder.items
    left = [item for at, item in enumerate(items) if at not in gone]
    commas = [items[at].comma for at in gone]
    if gone and left and items[-1].comma is None:
        commas.append(left[-1].comma)
    edits = [(items[at].lead, items[at].end, "") for at in gone]
    edits += {(at, at + 1, "") for at in commas if at is not None}
    shorter = _edited(text, edits)
    inside = holder.body + 1, holder.end - 1 - (len(text) - len(shorter))
    if gone and not shorter[slice(*inside)].strip():
        return _edited(shorter, [(*inside, "")])
    return shorter


def _appended(text: str, holder: Item, inner: Sequence[str], gap: str, closing: str) -> list[Edit]:
    """Return the edits that put items at the end of a list or object; `_without` undoes them."""
    put = gap + f",{gap}".join(inner)
    if not holder.items:
        start, end = holder.body + 1, holder.end - 1
        blank = start + len(text[start:end].rstrip())
        return [(start, end, put + closing)] if blank == start else [(blank, blank, put)]
    last = holder.items[-1]
    at = last.end if last.comma is None else last.comma + 1
    comment = _REST_OF_LINE.match(text, at)
    place = comment.end() if comment else at
    if last.comma is None:
        return [(at, at, ","), (place, place, put)]
    return [(place, place, f"{put},")]


def _edited(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with edits made, the last first; two at one place keep their order."""
    for start, end, new in sorted(edits, key=lambda edit: edit[:2])[::-1]:
        text = text[:start] + new + text[end:]
    return text


def _indent(text: str, items: Sequence[Item], default: str) -> str:
    """Return what stands before the first item on its line, or a default when it shares it."""
    if not items:
        return default
    before = text[text.rfind("\n", 0, items[0].start) + 1 : items[0].start]
    return before if before.isspace() else default


def _pretty(value: Any, gap: str, unit: str, levels: int) -> str:
    """Return a value as JSON; below so many levels it stays on one line."""
    if not levels or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    inner = gap + unit
    if isinstance(value, list):
        parts = [_pretty(item, inner, unit, levels - 1) for item in value]
        return f"[{inner}" + f",{inner}".join(parts) + f"{gap}]"
    parts = [f'"{key}": {_pretty(item, inner, unit, levels - 1)}' for key, item in value.items()]
    return f"{{{inner}" + f",{inner}".join(parts) + f"{gap}}}"
