"""Render the jinja2 templates in templates/; an undefined variable is an error.

Every value passes a filter of the file's language, so that no text of a user becomes code.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core import derived
from tasks.settings.load import ROOT

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = ROOT / "templates"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_SPECIAL = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


def render(name: str, secret: bool = False, /, **values: Any) -> str:
    """Return the text of a template, rendered with values.

    The text is cached, unless a value is `secret`: loading jinja2 takes longer than all rendering.
    """

    def text() -> str:
        return environment().get_template(name).render(**values)

    if secret:
        return text()
    listed = json.dumps(values, sort_keys=True, default=repr)
    key = f"text of {name} with {hashlib.sha256(listed.encode()).hexdigest()}"
    inputs = [FOLDER / name, Path(__file__), *derived.origin("jinja2")]
    return str(derived.value(key, inputs, text))


def scalar(value: object) -> str:
    r"""Return a value as JSON that TOML and YAML read too: \U1F600 instead of surrogate pairs."""
    text = json.dumps(value, sort_keys=True)
    for character in "<>&'\x7f":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return re.sub(r"\\ud[89ab]..\\ud[c-f]..", _long_escape, text)


def _long_escape(pair: re.Match[str]) -> str:
    character = json.loads('"' + pair[0] + '"')
    return f"\\U{ord(character):08x}"


def lua(value: object) -> str:
    """Return a text as a string of Lua, a number unchanged; see the Lua manual, 3.1."""
    if isinstance(value, int):
        return str(value)
    escaped = (
        f"\\{ord(c):03d}" if ord(c) < 32 and c != "\n" else _SPECIAL.get(c, c) for c in str(value)
    )
    return f'"{"".join(escaped)}"'


def shell(value: object) -> str:
    """Return a value as one word of a shell script."""
    return shlex.quote(str(value))


def fish(value: object) -> str:
    r"""Return a text as one word of fish: single quotes, in which it knows \\ and \' (fish(1))."""
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def word(value: object) -> str:
    """Return a name that stands without quotes. Raises ValueError for any other text."""
    if not _WORD.fullmatch(str(value)):
        raise ValueError(f"{value!r} is not a name")
    return str(value)


def xml(value: object) -> str:
    """Return a text as the content of an XML attribute."""
    from xml.sax.saxutils import escape  # noqa: PLC0415 - `doit list` stays fast

    return escape(str(value), {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


@functools.cache
def environment() -> Environment:
    """Return jinja2's environment, with a filter for each language of the templates."""
    import jinja2  # noqa: PLC0415 - `doit list` stays fast

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - each value has the filter of its language
    )
    made.filters.update(lua=lua, shell=shell, toml=scalar, word=word, xml=xml, yaml=scalar)
    return made
