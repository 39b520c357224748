"""Tasks logs and logs:COMPONENT: print the logs of components on one time axis."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from heapq import merge
from typing import Any

from tasks.cli import command_line, interrupts
from tasks.cli.task import ANSWER, OUTPUT, action, option
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.logs import entries
from tasks.logs.entries import Entry
from tasks.logs.read import Log, follow
from tasks.logs.since import since as parsed_since
from tasks.settings.load import Settings
from tasks.system import process, procfs

DEFAULT_TAIL = 100
"""Entries that are printed when no option chooses entries."""
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95)
OPTIONS = (
    option("follow", "print new entries until Ctrl-C", short="f"),
    option("since", "only entries of the last 10m, since 17:05, or since 2026-01-31T17:05:00", ""),
    option("grep", "only entries in which this regular expression matches", ""),
    option("tail", f"number of entries; 0 for all, default {DEFAULT_TAIL} or all that match", -1),
    option("previous", "only entries from before the last start of the component", short="p"),
    OUTPUT,
)


@dataclass(frozen=True)
class Choice:
    """The options of the task; the fields are their names."""

    follow: bool
    since: str
    grep: str
    tail: int
    previous: bool
    output: str


@action
def print_logs(settings: Settings, names: Sequence[str], **options: Any) -> None:
    """Print the logs of components; of all that have one when no names are given."""
    more, names = command_line.interspersed(OPTIONS, names or ())
    choice = Choice(**{**options, **more})
    for name in names:
        if name not in COMPONENTS:
            raise Failure(
                f"there is no component named {name}",
                f"use one of: {', '.join(COMPONENTS)}",
            )
    if choice.tail < -1:
        raise Failure(f"option --tail: {choice.tail} is not a number of entries", "use 0 for all")
    accepts = _filter(choice)
    chosen = [name for name in COMPONENTS if name in names] if names else list(COMPONENTS)
    starts = {name: started for name in chosen if (started := _started(settings, name))}
    paths = {name: settings.paths.log(name) for name in chosen}
    existing = {name: path for name, path in paths.items() if path.is_file() or choice.follow}
    if not existing:
        raise Failure(
            f"there is no log of {', '.join(chosen)} in {settings.paths.logs}", "run: doit up"
        )
    logs = [Log(name, path) for name, path in existing.items()]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # exit without an error after `| head`
    interrupts.exit_quietly()
    show = _printer(list(existing), choice)
    show(_selected(logs, choice, accepts, starts))
    if choice.follow:
        for found in follow(logs):
            show(entry for entry in found if accepts(entry))


def _selected(
    logs: Sequence[Log], choice: Choice, accepts: Callable[[Entry], bool], starts: dict[str, float]
) -> list[Entry]:
    """Return the entries that exist and that the options choose, sorted by time."""
    tail = choice.tail
    if tail < 0:
        tail = 0 if choice.since or choice.grep or choice.previous else DEFAULT_TAIL
    is_short = bool(tail) and not (choice.since or choice.grep or choice.previous)
    found = merge(
        *(log.entries(all_of_it=not is_short, to_follow=choice.follow) for log in logs),
        key=lambda entry: entry.at,
    )
    kept = [
        entry
        for entry in found
        if accepts(entry)
        and not (choice.previous and entry.at >= starts.get(entry.component, float("inf")))
    ]
    return kept[-tail:] if tail else kept


def _filter(choice: Choice) -> Callable[[Entry], bool]:
    """Return whether --since and --grep choose an entry. Raises Failure for a wrong value."""
    begin = parsed_since(choice.since)
    try:
        pattern = re.compile(choice.grep)
    except re.error as error:
        raise Failure(
            f"option --grep: {choice.grep} is not a regular expression: {error}",
            r"escape its special characters, for example --grep='\[core\]'",
        ) from error
    return lambda entry: entry.at >= begin and bool(pattern.search(entry.text))


def _started(settings: Settings, name: str) -> float | None:
    """Return when a component was started last, in epoch seconds; None without a record."""
    record = process.load(settings.paths.run, name)
    if record is None:
        return None
    # the record is written after the start: the first lines can be older
    exact = procfs.start_time(record.identity.pid) if record.alive() else None
    return min(record.since, exact or record.since)


def _printer(names: Sequence[str], choice: Choice) -> Callable[[Iterable[Entry]], None]:
    """Return the function that prints entries in the output format."""
    if choice.output == "json":
        return _say_lines if choice.follow else _say_document
    colours = console.live(sys.stdout) and not os.environ.get("NO_COLOR")
    width = max(map(len, names))
    prefixes = {name: f"{name:<{width}} | " for name in names}
    if colours:
        for index, name in enumerate(names):
            code = _COLOURS[index % len(_COLOURS)]
            prefixes[name] = f"\x1b[{code}m{prefixes[name]}\x1b[0m"

    def say(found: Iterable[Entry]) -> None:
        lines = []
        for entry in found:
            prefix = f"{entries.clock(entry.at)} {prefixes[entry.component]}"
            prefix = "" if len(names) == 1 else prefix
            lines += [prefix + line for line in entry.text.split("\n")]
        if lines:
            console.say("\n".join(lines))

    return say


def _say_document(found: Iterable[Entry]) -> None:
    console.say(json.dumps([asdict(entry) for entry in found], indent=1))


def _say_lines(found: Iterable[Entry]) -> None:
    for entry in found:
        console.say(json.dumps(asdict(entry)))


def task_logs(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the task for several logs, and one task per component."""
    common = {"uptodate": [False], "params": list(OPTIONS), "meta": ANSWER}
    yield {
        "basename": "logs",
        "doc": "print logs on one time axis: doit logs [COMPONENT ...] [-f] [--since 10m]",
        "actions": [(print_logs, [settings])],
        "pos_arg": "names",
        **common,
    }
    for name in COMPONENTS:
        yield {
            "basename": f"logs:{name}",
            "subtask_of": "logs",
            "doc": f"print the log of {name}",
            "actions": [(print_logs, [settings, (name,)])],
            **common,
        }
