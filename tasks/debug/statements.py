"""Find a statement again in edited source: by its function and its text, not by its line number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`[^`]*`|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
"""Comments and literals of Go: no bracket in them opens or closes a block."""
_TYPE_ARGUMENTS = re.compile(r"\[[^][]*\]")
_CLOSURE = re.compile(r"(func|gowrap|deferwrap)?\d+(-range\d+)?")
"""Name that the compiler gives to a function literal, after the name of its function."""


class LostError(Exception):
    """The statement does not exist any more; the text says what is missing."""


@dataclass(frozen=True)
class Place:
    """A line of a source file, from 1."""

    file: str
    line: int


@dataclass(frozen=True)
class Function:
    """The function in the source that contains a function of the binary."""

    name: str
    """Empty for the initialisation of a package, which can be anywhere in the file."""
    receiver: str = ""
    is_closure: bool = False
    """Whether the binary's function is a function literal; the compiler numbers these."""

    @classmethod
    def of(cls, full_name: str) -> Function:
        """Return the function for Delve's name, such as `pkg/path.(*Type).Method.func1`."""
        while (shorter := _TYPE_ARGUMENTS.sub("", full_name)) != full_name:
            full_name = shorter  # type arguments of a generic function can be nested
        words = re.sub(r"-range\d+", "", full_name.rpartition("/")[2]).split(".")[1:]
        if not words or words[0] in ("init", "glob", ""):
            return cls("", is_closure=len(words) > 1)
        if words[1:] and not _CLOSURE.fullmatch(words[1]):
            return cls(words[1], words[0].strip("(*)"), is_closure=len(words) > 2)
        return cls(words[0], is_closure=len(words) > 1)

    def lines(self, text: str) -> range | None:
        """Return the lines of the function in a source file, from 0; None if it is not there."""
        code = _TOKEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
        if not self.name:
            return range(len(code.splitlines()))
        receiver = rf"\(\s*(?:\w+\s+)?\*?\s*{self.receiver}\s*(?:\[[^]]*\])?\s*\)\s*"
        start = rf"^func\s+{receiver if self.receiver else ''}{self.name}\s*[(\[]"
        match = re.search(start, code, re.MULTILINE)
        if match is None:
            return None
        first, depth = code.count("\n", 0, match.start()), 0
        lines = code.splitlines()
        for number in range(first, len(lines)):
            depth += sum(lines[number].count(bracket) for bracket in "([{")
            depth -= sum(lines[number].count(bracket) for bracket in ")]}")
            if depth <= 0:
                return range(first, number + 1)
        return range(first, len(lines))


def find(full_name: str, old_text: str, old: Place, new: Mapping[str, str]) -> Iterator[Place]:
    """Yield the places of the statement at `old` in the new source, the likely one first.

    `new` has the files of the package by path, the file of the statement first. A function can have
    moved to another file. Raises LostError if the function or the statement does not exist.
    """
    function, line = Function.of(full_name), old.line
    old_lines = function.lines(old_text)
    if old_lines is None or line - 1 not in old_lines:
        function = Function("")
        old_lines = range(len(old_text.splitlines()))
    old_code, exists = _code(old_text, old_lines), False
    for file, text in new.items():
        new_lines = function.lines(text) if function.name or file == old.file else None
        if new_lines is None:
            continue
        exists = True
        index = _follow(old_code, line - 1 - old_lines.start, _code(text, new_lines))
        if index is not None:
            yield Place(file, new_lines.start + index + 1)
    statement = old_text.splitlines()[line - 1].strip()
    raise LostError(f"no longer has `{statement}`" if exists else "no longer exists")


def _code(text: str, lines: range) -> list[str]:
    """Return lines without comments and with single blanks: gofmt aligns them anew."""

    def replacement(match: re.Match[str]) -> str:
        comment = match[0].startswith(("//", "/*"))
        return "\n" * match[0].count("\n") if comment else match[0]

    code = _TOKEN.sub(replacement, text).splitlines()
    return [" ".join(line.split()) for line in code[lines.start : lines.stop]]


def _follow(old: list[str], index: int, new: list[str]) -> int | None:
    """Return the index in `new` of the line that is old[index]; None if it was removed.

    A line that was moved has the same text, and no other line of `old` became it.
    """
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    if index < start:
        return index
    end = 0  # counted from the end
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    if index >= len(old) - end:
        return index + len(new) - len(old)
    old, new, index = old[start : len(old) - end], new[start : len(new) - end], index - start
    unclaimed = set(range(len(new)))
    for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        if block.a <= index < block.a + block.size:
            return start + block.b + index - block.a
        unclaimed -= set(range(block.b, block.b + block.size))
    if not re.search(r"\w", old[index]):
        return None  # a bracket is everywhere
    same = [number for number in unclaimed if new[number] == old[index]]
    return start + min(same, key=lambda number: abs(number - index)) if same else None
