"""From the words of a user to a function or a line of source that the binary really has."""

from __future__ import annotations

import difflib
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tasks.core.errors import Failure
from tasks.delve.client import Delve

SHOWN = 10
_LINE = re.compile(r"(.+\.\w+):(\d+)")
_TYPE_ARGUMENTS = re.compile(r"\[[^][]*\]")


@dataclass(frozen=True)
class Location:
    """A function, by its full name, or a line of a source file."""

    function: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return self.function or f"{self.file}:{self.line}"


def locate(client: Delve, words: str) -> Location:
    """Return the place that words mean in a held program. Raises Failure when it is not one."""
    if match := _LINE.fullmatch(words):
        wanted = match[1].removeprefix("./")
        return Location(file=source(wanted, client.sources()), line=int(match[2]))
    # Of some 150,000 functions all are needed only to guess what was meant; this takes 20 ms.
    like = client.functions(re.escape(_last_name(words)))
    return Location(function=function(words, like or client.functions()))


def function(wanted: str, known: Iterable[str]) -> str:
    """Return the one function of a name, or of a name that ends so after a dot or a slash.

    `scheduler.(*Scheduler).schedulePod`, `Scheduler.schedulePod` and `schedulePod` may all mean
    the same; a generic function means all its instances.
    """
    names = set(known)
    if wanted in names:
        return wanted
    whole, end = _plain(wanted), re.compile(rf"(?:^|[./]){re.escape(_plain(wanted))}$")
    found = {_generic(name): _plain(name) for name in names if end.search(_plain(name))}
    # Go forbids a method on both T and *T: where both exist, that on *T is the compiler's wrapper.
    found = {name: plain for name, plain in found.items() if name == plain or plain not in found}
    exact = [name for name, plain in found.items() if plain == whole]
    return _only("function", wanted, exact or list(found), names, _last_name)


def source(wanted: str, known: Iterable[str]) -> str:
    """Return the one source file of a path, or of a path that ends so after a slash."""
    paths = set(known)
    found = [path for path in paths if path == wanted or path.endswith(f"/{wanted}")]
    return _only("source file", wanted, [wanted] if wanted in paths else found, paths, _last_file)


def _only(
    kind: str, wanted: str, found: list[str], known: set[str], last: Callable[[str], str]
) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        shown = [f"    {name}" for name in sorted(found)[:SHOWN]]
        more = [f"    and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        text = "\n".join([f"{wanted} may mean each of {len(found)}:", *shown, *more])
        raise Failure(text, "write more of its beginning")
    near = nearest(wanted, known, last)
    hint = f"did you mean {' or '.join(near)}?" if near else "look the name up in the source"
    raise Failure(f"the binary has no {kind} {wanted}", hint)


def nearest(wanted: str, known: Iterable[str], last: Callable[[str], str]) -> list[str]:
    """Return up to three names whose last part looks like the wanted one's, the likest first."""
    ends: dict[str, list[str]] = defaultdict(list)
    for name in known:
        ends[last(name)].append(name)
    alike = difflib.get_close_matches(last(wanted), ends, n=3)
    names = [difflib.get_close_matches(wanted, ends[end], n=3, cutoff=0.0) for end in alike]
    return list(itertools.chain.from_iterable(names))[:3]


def _plain(name: str) -> str:
    """Write a function's name as one says it: no pointer, no type arguments, no escapes."""
    return _generic(name).replace("(*", "").replace(")", "").replace("%2e", ".")


def _generic(name: str) -> str:
    """Remove type arguments, which may be nested: Delve takes the rest for all instances."""
    while (shorter := _TYPE_ARGUMENTS.sub("", name)) != name:
        name = shorter
    return name


def _last_name(name: str) -> str:
    return _generic(name).rpartition(".")[2]


def _last_file(path: str) -> str:
    return path.rpartition("/")[2]
