"""Writes the generated pages of docs/: python -m tests.support.pages."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tasks.explain import config
from tasks.settings.load import ROOT

BEGIN, END = "<!-- made by python -m tests.support.pages -->", "<!-- end -->"


def layers() -> list[list[str]]:
    """Return the folders of each layer, the highest layer first, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    lines = next(one["layers"] for one in contracts if one["type"] == "layers")
    return [line.split(" | ") for line in lines]


def pages() -> dict[Path, str]:
    """Return every page that is made, at least in part, from the code."""
    architecture = ROOT / "docs" / "architecture.md"
    before, rest = architecture.read_text().split(BEGIN)
    after = rest.partition(END)[2]
    made = "\n".join([BEGIN, "", *_picture(), "", *_table(), "", END])
    return {architecture: before + made + after, ROOT / "docs/configuration.md": config.markdown()}


def _picture() -> Iterator[str]:
    rows = [["dodo.py"], *layers()]
    yield from ("```mermaid", "flowchart TD")
    for number, folders in enumerate(rows):
        arrow = f"layer{number - 1} --> " if number else ""
        yield f'  {arrow}layer{number}["{" · ".join(folders)}"]'
    yield "```"


def _table() -> Iterator[str]:
    yield from ("| folder of `tasks/` | what is in it |", "| --- | --- |")
    for folder in (name for row in layers() for name in row):
        module = ast.parse((ROOT / "tasks" / folder / "__init__.py").read_text())
        words = (ast.get_docstring(module) or "").partition("\n")[0].replace("|", "\\|")
        yield f"| `{folder}/` | {words} |"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
