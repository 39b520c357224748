"""Candidates of a completion: tasks, options with values, settings, instances, for a shell line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from tasks.cli import command_line, help_text
from tasks.settings.table import Row

Task = help_text.Task
Params = Sequence[Mapping[str, Any]]
"""Descriptions of options, as in `params` of a task."""
Candidates = dict[str, str]
"""Complete words that can be at the cursor, each with its description."""
HELP: Mapping[str, Any] = {"long": "help", "type": bool, "help": "show the help of the task"}
_CURSOR = "\0"


@dataclass(frozen=True)
class Choices:
    """What a command line of doit can consist of."""

    tasks: Mapping[str, Task]
    """Task descriptions by full name."""
    commands: Mapping[str, Params]
    """Options of each command of doit; those of `run` are also options of doit without one."""
    rows: Sequence[Row]
    instances: Sequence[str]


@dataclass
class _Before:
    """What the words before the cursor consist of."""

    params: Params
    """Options that can follow: those of the last task or command."""
    task: Task | None = None
    """The last task, if it was named."""
    command: str = ""
    option: Mapping[str, Any] | None = None
    """The option whose value is at the cursor."""


def candidates(line: str, choices: Choices) -> Candidates:
    """Return the words that can be at the cursor, which is at the end of the line.

    None means that another program or the shell knows them: arguments of kubectl, files.
    """
    *before, current = _split(line)
    if "--" in before or command_line.split(before)[1] is not None:
        return {}
    state = _read(before, choices)
    if state.option is not None:
        found = _values(state.option)
    elif current.startswith("-") and "=" in current:
        name = current.partition("=")[0]
        param = next((item for item in state.params if f"--{item['long']}" == name), {})
        found = {f"{name}={value}": text for value, text in _values(param).items()}
    elif current.startswith("-"):
        found = _options(current, state.params)
    elif "=" in current:
        found = _setting_values(current, choices)
    else:
        found = _names(current, state, choices) | _keys(current, choices.rows)
    return {word: text for word, text in found.items() if word.startswith(current)}


def _split(line: str) -> list[str]:
    """Return the words after the program; the last one is at the cursor and can be empty.

    A quotation mark that is still open ends at the cursor.
    """
    for end in ("", '"', "'"):
        try:
            words = shlex.split(f"{line}{_CURSOR}{end}")
        except ValueError:
            continue
        while len(words) > 1 and "=" in words[0]:  # A=b doit ...
            words = words[1:]
        return [*words[1:-1], words[-1].removesuffix(_CURSOR)]
    return [""]


def _read(before: Sequence[str], choices: Choices) -> _Before:
    state = _Before(choices.commands.get("run", ()))
    for word in before:
        if state.option is not None:
            state.option = None
        elif word.startswith("-"):
            state.option = _needs_value(word, state.params)
        elif "=" in word or (state.task and state.task.get("pos_arg")):
            continue
        elif not state.task and not state.command and word in choices.commands:
            state.command, state.params = word, choices.commands[word]
        elif word in choices.tasks:
            state.task = choices.tasks[word]
            if not state.command or state.command == "run":
                state.params = state.task.get("params") or ()
    return state


def _needs_value(word: str, params: Params) -> Mapping[str, Any] | None:
    """Return the option that a word names, if its value is the next word."""
    for param in params:
        names = [f"--{param['long']}", *([f"-{param['short']}"] if param.get("short") else [])]
        if word in names and param["type"] is not bool:
            return param
    return None


def _values(param: Mapping[str, Any]) -> Candidates:
    return dict(param.get("choices") or ())


def _options(current: str, params: Params) -> Candidates:
    """Return the long options; a short one if it is the word, so that Tab adds a space."""
    for param in params:
        if param.get("short") and current == f"-{param['short']}":
            return {current: _text(param)}
    return {f"--{param['long']}": _text(param) for param in (*params, HELP) if param["long"]}


def _text(param: Mapping[str, Any]) -> str:
    return str(param["help"]).partition("[default")[0]  # of doit, which fills it in later


def _names(current: str, state: _Before, choices: Choices) -> Candidates:
    """Return the tasks, or the arguments of a task that has arguments, and doit's commands."""
    if state.task and state.task.get("pos_arg"):
        group = help_text.full_name(state.task) + ":"
        parts = (name.removeprefix(group) for name in choices.tasks if name.startswith(group))
        listed: Sequence[str] = (state.task.get("meta") or {}).get("arguments", ())
        return dict.fromkeys([*parts, *listed], "")
    commands = {}
    if state.task is None and state.command in ("", "help"):
        commands = dict.fromkeys(choices.commands, "command of doit")
    return commands | _tasks(current, choices.tasks)


def _tasks(current: str, tasks: Mapping[str, Task]) -> Candidates:
    """Return the tasks for a word; the parts of a group only if the word is of one group.

    Internal tasks need a first letter, those of stepkube itself their underscore.
    """
    texts = {name: str(task.get("doc") or "") for name, task in tasks.items()}
    for name in tasks:
        texts.setdefault(name.partition(":")[0], "")
    hidden = frozenset() if current else help_text.INTERNAL
    groups = [
        name
        for name in texts
        if ":" not in name
        and name.startswith(current)
        and name not in hidden
        and (current or not name.startswith("_"))
    ]
    found = {name: texts[name] for name in groups}
    if ":" in current or len(groups) == 1 or current in groups:
        of_groups = {current.partition(":")[0]} if len(groups) != 1 else {*groups}
        found |= {n: text for n, text in texts.items() if ":" in n and n.split(":")[0] in of_groups}
    return found


def _keys(current: str, rows: Sequence[Row]) -> Candidates:
    """Return the keys of settings with `=`; for an empty word, only the first part of each.

    The command line refuses a secret, because every user can read it.
    """
    keys = {f"{row.key}=": row.doc for row in rows if not row.secret}
    if current:
        return keys
    groups = {key.partition(".")[0] + ".": "settings" for key in keys if "." in key}
    return {key: text for key, text in keys.items() if "." not in key} | groups


def _setting_values(current: str, choices: Choices) -> Candidates:
    """Return `key=value` for each value of a setting with fixed values; also in a list."""
    key, _, value = current.partition("=")
    row = next((row for row in choices.rows if row.key == key), None)
    if row is None:
        return {}
    prefix = f"{key}="
    if key == "instance":
        return {prefix + name: "instance" for name in choices.instances}
    if row.kind is bool:
        values: Sequence[str] = ("true", "false")
    elif get_origin(row.kind) is Literal:
        values = get_args(row.kind)
    elif get_origin(row.kind) is tuple and get_origin(get_args(row.kind)[0]) is Literal:
        *items, _ = value.split(",")
        prefix += "".join(f"{item}," for item in items)
        values = [item for item in get_args(get_args(row.kind)[0]) if item not in items]
    else:
        return {}
    return {f"{prefix}{item}": "" for item in values if item}
