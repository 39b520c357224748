"""Find the function or source line that a user names (Delve's FindLocation), in the binary."""

from __future__ import annotations

import difflib
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tasks.core.errors import Failure
from tasks.delve.client import Delve

MAX_CANDIDATES = 10
_LINE = re.compile(r"(.+\.\w+):([0-9]{1,9})")
_TYPE_ARGUMENTS = re.compile(r"\[[^][]*\]")


@dataclass(frozen=True)
class Location:
    """Location in a program: the full name of a function, or a line of a source file."""

    function: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return self.function or f"{self.file}:{self.line}"


def locate(client: Delve, text: str) -> Location:
    """Return the location that a user's text names in a paused program.

    The text is `file.go:LINE`, or a function as `match_function` reads it. Raises Failure if
    nothing, or more than one thing, matches.
    """
    if match := _LINE.fullmatch(text):
        path = match[1].removeprefix("./")
        return Location(file=match_file(path, client.source_files()), line=int(match[2]))
    # A filter keeps this at 20 ms; all of some 150,000 names are read only to make a suggestion.
    names = client.functions(re.escape(_last_name(text)))
    return Location(function=match_function(text, names or client.functions()))


def match_function(text: str, known: Iterable[str]) -> str:
    """Return the function with this full name, or whose name ends in it after a dot or a slash.

    `scheduler.(*Scheduler).schedulePod`, `Scheduler.schedulePod` and `schedulePod` can all name
    the same function. The name of a generic function means all its instances. Raises Failure if
    no function, or more than one, matches.
    """
    names = set(known)
    if text in names:
        return text
    plain_text = _plain(text)
    end = re.compile(rf"(?:^|[./]){re.escape(plain_text)}$")
    found = {_generic(name): _plain(name) for name in names if end.search(_plain(name))}
    # Go forbids a method on both T and *T: if both exist, the compiler generated the one on *T.
    found = {name: plain for name, plain in found.items() if name == plain or plain not in found}
    exact = [name for name, plain in found.items() if plain == plain_text]
    return _single("function", text, exact or list(found), names, _last_name)


def match_file(text: str, known: Iterable[str]) -> str:
    """Return the source file with this path, or whose path ends in it after a slash.

    Raises Failure if no file, or more than one, matches.
    """
    paths = set(known)
    found = [path for path in paths if path == text or path.endswith(f"/{text}")]
    return _single("source file", text, [text] if text in paths else found, paths, _last_file)


def _single(
    kind: str, text: str, matches: list[str], known: set[str], last: Callable[[str], str]
) -> str:
    if len(matches) == 1:
        return matches[0]
    if matches:
        shown = [f"    {name}" for name in sorted(matches)[:MAX_CANDIDATES]]
        rest = len(matches) - len(shown)
        more = [f"    and {rest} more"] if rest else []
        message = "\n".join([f"{text} matches {len(matches)} names:", *shown, *more])
        raise Failure(message, "write more of the beginning of the name")
    similar = similar_names(text, known, last)
    hint = f"did you mean {' or '.join(similar)}?" if similar else "search the source for the name"
    raise Failure(f"the binary has no {kind} {text}", hint)


def similar_names(text: str, known: Iterable[str], last: Callable[[str], str]) -> list[str]:
    """Return up to three names whose last part looks like that of `text`, most similar first."""
    ends: dict[str, list[str]] = defaultdict(list)
    for name in known:
        ends[last(name)].append(name)
    close_ends = difflib.get_close_matches(last(text), ends, n=3)
    names = [difflib.get_close_matches(text, ends[end], n=3, cutoff=0.0) for end in close_ends]
    return list(itertools.chain.from_iterable(names))[:3]


def _plain(name: str) -> str:
    """Return a function's name without pointer, type arguments and escapes."""
    return _generic(name).replace("(*", "").replace(")", "").replace("%2e", ".")


def _generic(name: str) -> str:
    """Remove (nested) type arguments; Delve reads the result as all instances of the function."""
    while (shorter := _TYPE_ARGUMENTS.sub("", name)) != name:
        name = shorter
    return name


def _last_name(name: str) -> str:
    return _generic(name).rpartition(".")[2]


def _last_file(path: str) -> str:
    return path.rpartition("/")[2]
