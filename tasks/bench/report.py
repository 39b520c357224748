"""Figures of a benchmark: as JSON, and as a Markdown table with the target next to each figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks.bench import measure


@dataclass(frozen=True)
class Figure:
    """One measured value, with what it is compared with; the fields are JSON keys."""

    row: str
    what: str
    unit: str
    """s (wall time), s processor, packages or binaries."""
    values: tuple[float, ...]
    """One value per run."""
    target: float | None = None
    """The largest value that is good enough; with `others`, the largest ratio."""
    others: tuple[float, ...] = ()
    """Values of what it is compared with, taken in turn."""
    compared_with: str = ""
    note: str = ""
    """Why there is no value, or what else a reader must know."""

    @property
    def ratio(self) -> float | None:
        """The median ratio to what it is compared with; None without a comparison."""
        return measure.ratio(self.values, self.others) if self.values and any(self.others) else None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without a target or a value."""
        if self.target is None or not self.values:
            return None
        value = self.ratio if self.others else measure.median(self.values)
        return None if value is None else value <= self.target


def as_json(figures: Sequence[Figure], about: Mapping[str, Any]) -> str:
    """Return the figures as a JSON document; `about` describes machine and tree."""
    rows = [
        {
            **asdict(figure),
            "median": measure.median(figure.values) if figure.values else None,
            "median_compared_with": measure.median(figure.others) if figure.others else None,
            "ratio": figure.ratio,
            "reached": figure.reached,
        }
        for figure in figures
    ]
    return json.dumps({**about, "figures": rows}, indent=1)


def as_markdown(figures: Sequence[Figure], about: Mapping[str, Any]) -> str:
    """Return the figures as a Markdown table below a line about machine and tree."""
    lines = [
        ", ".join(f"{key}: {value}" for key, value in about.items()),
        "",
        "| row | what | median | compared with | ratio | target | reached |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *map(_line, figures)])


def _line(figure: Figure) -> str:
    unit = figure.unit
    median, ratio, other = "-", figure.ratio, "-"
    if figure.values:
        median = f"{measure.median(figure.values):.4g} {unit}"
    if figure.others:
        other = f"{figure.compared_with}: {measure.median(figure.others):.4g} {unit}"
    target = "-" if figure.target is None else f"<= {figure.target:g}"
    target += " x" if figure.others and figure.target is not None else ""
    reached = {True: "yes", False: "no", None: "-"}[figure.reached]
    cells = (
        figure.row,
        "; ".join(filter(None, (figure.what, figure.note))).replace("|", "\\|"),
        median,
        other,
        "-" if ratio is None else f"{ratio:.2f}",
        target,
        reached,
    )
    return f"| {' | '.join(cells)} |"
