"""Render the jinja2 templates in templates/; an undefined variable is an error."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tasks.settings.load import ROOT

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: Any) -> str:
    """Return the text of a template, rendered with values."""
    return _environment().get_template(name).render(**values)


@functools.cache
def _environment() -> Environment:
    import jinja2  # noqa: PLC0415 - `doit list` stays fast

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML and shell, not HTML
    )
