"""Cache of the flags that a binary does not know, per command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.components.base import Component
from tasks.core.errors import Failure
from tasks.system import files, state


@dataclass(frozen=True)
class _Answer:
    """What a binary said about a command line; the fields are the JSON keys."""

    asked: str
    """The digest of the command line."""
    refused: tuple[str, ...]
    """The flags that the binary does not know."""


def load(run: Path, component: Component) -> Sequence[str] | None:
    """Return the flags that the binary refused; None if this command line was not checked last."""
    answer = state.load(_path(run, component), _Answer)
    return answer.refused if answer and answer.asked == files.digest(*component.argv) else None


def save(run: Path, component: Component, refused: Sequence[str]) -> None:
    """Store the flags that the binary refused; on a full disk they are not stored."""
    answer = _Answer(files.digest(*component.argv), tuple(refused))
    with suppress(Failure):  # a full disk hides no status
        files.write_json(_path(run, component), asdict(answer))


def _path(run: Path, component: Component) -> Path:
    return run / f"{component.name}.flags"
