"""State files: JSON files that stepkube writes and reads back; a damaged one stops no command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from tasks.core.errors import Failure
from tasks.system import damage, files
from tasks.system.damage import DamagedError

T = TypeVar("T")
_LARGEST_INT = 1 << 63
_LARGEST_FLOAT = 1e11
"""Larger than every time in epoch seconds of the next 1000 years."""


def load(
    path: Path,
    kind: type[T],
    is_valid: Callable[[T], bool] = lambda _: True,
    *,
    rebuild: Callable[[], T | None] = lambda: None,
    effect: str = "",
    large: bool = False,
) -> T | None:
    """Return the content of a state file as `kind`; None when it does not exist.

    A damaged file is set aside. Then the result is that of `rebuild`, which is also written. Keys
    that `kind` does not have are of a later version: they are ignored. `effect` tells the user what
    happens next. `large` is for a file with thousands of values: see parse. Raises Failure if this
    user cannot read the file.
    """
    try:
        return parse(damage.read_text(path), kind, is_valid, large=large)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        hint = "run doit as the user that owns the file"
        raise Failure(f"cannot read {path}: {error.strerror}", hint) from error
    except DamagedError as error:
        problem = error
    value = rebuild()
    if value is not None:
        effect = "it was made again from the running process"
    damage.set_aside(path, problem, effect)
    if value is not None:
        with suppress(Failure):  # the disk is full: the next command makes it again
            files.write_json(path, asdict(value) if is_dataclass(value) else value)  # type: ignore[arg-type]
    return value


def parse(
    text: str, kind: type[T], is_valid: Callable[[T], bool] = lambda _: True, *, large: bool = False
) -> T:
    """Return a JSON text as `kind`. Raises DamagedError if it has another form or wrong values.

    A large text is read in a quarter of the time, and numbers out of range in it are accepted.
    """
    import msgspec  # noqa: PLC0415 - `doit list` stays fast

    try:
        result = _read_at_once(text, kind) if large else None
        if result is None:
            value = json.loads(text)
            require_plain(value)
            result = msgspec.convert(value, kind, dec_hook=_path)
        if not is_valid(result):
            raise DamagedError("a value in it is wrong")
    except RecursionError as error:
        raise DamagedError("it is nested too deeply") from error
    except (ValueError, TypeError, KeyError) as error:  # also msgspec.ValidationError
        raise DamagedError(" ".join(str(error).split())[:120]) from error
    return result


def _read_at_once(text: str, kind: type[T]) -> T | None:
    """Return a JSON text as `kind`; None if it is damaged or has a name that is not UTF-8."""
    import msgspec  # noqa: PLC0415 - `doit list` stays fast

    if "\\u0000" in text:
        return None
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=kind)
    return None


def require_plain(value: Any) -> None:
    """Raise ValueError for a NUL byte in a text, or for a number that is out of range."""
    if isinstance(value, dict):
        for key, item in value.items():
            require_plain(key)
            require_plain(item)
    elif isinstance(value, list):
        for item in value:
            require_plain(item)
    elif isinstance(value, str) and "\0" in value:
        raise ValueError("a text has a NUL byte")
    elif isinstance(value, float) and not (math.isfinite(value) and abs(value) < _LARGEST_FLOAT):
        raise ValueError(f"the number {value} is out of range")
    elif isinstance(value, int) and abs(value) >= _LARGEST_INT:
        raise ValueError("a number is out of range")


def _path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError(f"{value!r} is not a {kind.__name__}")
