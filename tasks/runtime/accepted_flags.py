"""Ask a binary which flags it accepts: stepkube's own are left out, the user's are refused."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasks.components import user_flags
from tasks.components.base import Component
from tasks.components.registry import COMPONENTS
from tasks.components.user_flags import Flag
from tasks.core import console
from tasks.core.doit_run import once_per_run
from tasks.core.errors import Failure
from tasks.runtime import refused_flags
from tasks.settings.load import Settings
from tasks.system.run import Result, run

_UNKNOWN_FLAG = re.compile(r"unknown (?:shorthand )?flag: -?-?'?([^\s'=]+)")
_REFUSAL = re.compile(
    r"invalid argument .* for|invalid value .* for flag|flag needs an argument|"
    r"unrecognized feature gate|cannot set feature gate"
)
_KLOG = re.compile(r"^[EFIW]\d{4} .*?\] ")
"""The start of a line that klog wrote."""
_FATAL = re.compile(r"^(?:F\d{4} .*?\]|[Ee]rror:) (.+)$", re.MULTILINE)
"""The reason in the output of a program that exits, as klog and cobra write it."""
_HELP_LINE = re.compile(r" +(?:-\w, )?--([\w.-]+)(?: (\S+))?(?:  .*)?")
"""A flag in the text of --help, with the type of its value; a boolean has none."""
_SINGLE = re.compile(r"u?int\d*|float\d*|string|duration|ip|severity|Level")
"""Types of which a flag has one value: from a second one on, it replaces the value before."""


def with_accepted_flags(settings: Settings, component: Component) -> Component:
    """Return the component without the flags of stepkube that its binary does not know.

    --help does not list hidden flags, so the binary parses the complete command line with --help
    appended. The result is stored per command line. The user's flags, at the end of the command
    line, stay. Raises Failure with the binary's own message when it refuses the value of a flag.
    """
    users = _user_arguments(settings, component)
    argv = component.argv[: len(component.argv) - len(users)]
    own = replace(component, argv=argv)
    refused: Sequence[str] | None = refused_flags.load(settings.paths.run, own)
    if refused is None:
        refused = _unknown_flags(settings, component.name, argv)
        refused_flags.save(settings.paths.run, own, refused)
        for flag in refused:
            console.say(f"  {component.name} does not know --{flag}: left out")
    accepted = tuple(item for item in argv if _flag_name(item) not in refused)
    return replace(component, argv=(*accepted, *users))


def require(settings: Settings, component: Component) -> None:
    """Raise Failure if the binary of a component does not accept one of the user's flags.

    The message names the flag and the source of the setting. `component` is without the flags of
    stepkube that its binary does not know.
    """
    users = _user_arguments(settings, component)
    if users:
        key = COMPONENTS[component.name].user_flags
        source = settings.source(key)
        _require(component.name, component.argv, len(users), source)


@once_per_run
def _require(name: str, argv: tuple[str, ...], count: int, source: str) -> None:
    given = user_flags.parse(argv[len(argv) - count :], source)
    known = _flags_in_help(_ask(argv[:1], "--help"))
    _require_clear(name, given, known, source)
    result = _ask(argv, "--help")
    match = _UNKNOWN_FLAG.search(result.stderr + result.stdout) if result.code else None
    if match and match[1] in {flag.name for flag in given}:
        near = difflib.get_close_matches(match[1], known, n=1)
        raise Failure(
            f"{source}: {name} does not know --{match[1]}",
            f"did you mean --{near[0]}?" if near else f"run: {argv[0]} --help",
        )
    refusal = _refusal(result) or _refusal(_ask(argv, "--version"))
    if refusal:
        raise Failure(f"{source}: {name} refuses it: {refusal}", "correct this flag")
    if result.code and not _ask(argv[: len(argv) - count], "--help").code:
        reason = _FATAL.search(result.stderr + result.stdout)
        raise Failure(
            f"{source}: {name} does not accept these flags: {reason[1] if reason else result.code}",
            f"correct them, or run: {argv[0]} --help",
        )


def _require_clear(name: str, given: Sequence[Flag], known: Mapping[str, str], source: str) -> None:
    """Raise Failure for a flag with a value of which the binary would silently use another one."""
    seen: set[str] = set()
    for flag in given:
        kind = known.get(flag.normal_name)
        if kind == "" and flag.separate:
            raise Failure(
                f"{source}: --{flag.name} of {name} is on or off: {flag.value!r} is not its value",
                f"use --{flag.name}={flag.value}",
            )
        if flag.normal_name in seen and kind is not None and (not kind or _SINGLE.fullmatch(kind)):
            raise Failure(f"{source}: --{flag.name} is set twice", "remove one of them")
        seen.add(flag.normal_name)


def _flags_in_help(result: Result) -> dict[str, str]:
    """Return the flags in the text of --help, with the types of their values."""
    lines = map(_HELP_LINE.fullmatch, (result.stdout + result.stderr).splitlines())
    return {match[1]: match[2] or "" for match in lines if match}


def _user_arguments(settings: Settings, component: Component) -> list[str]:
    key = COMPONENTS[component.name].user_flags
    return user_flags.arguments(settings, key) if key else []


def _ask(argv: Sequence[str], question: str) -> Result:
    env = {"HOME": "/", "PATH": os.defpath}
    return run(*argv, question, check=False, timeout=60, env=env)


def _unknown_flags(settings: Settings, name: str, argv: Sequence[str]) -> list[str]:
    unknown: list[str] = []
    while True:
        rest = [item for item in argv if _flag_name(item) not in unknown]
        result = _ask(rest, "--help")
        match = _UNKNOWN_FLAG.search(result.stderr + result.stdout) if result.code else None
        if match is None or match[1] in unknown:
            _require_accepted(name, result)
            if COMPONENTS[name].built_module(settings):
                # from 1.31, feature gates are checked after --help, but before --version
                _require_accepted(name, _ask(rest, "--version"))
            return unknown
        unknown.append(match[1])


def _require_accepted(name: str, result: Result) -> None:
    """Raise Failure with what a binary prints when it refuses the value of a flag."""
    refusal = _refusal(result)
    if refusal:
        raise Failure(f"{name} refuses its command line: {refusal}", "correct this setting")


def _refusal(result: Result) -> str:
    """Return the line in which a binary refuses the value of a flag; empty if it does not."""
    lines = (result.stderr + result.stdout).splitlines() if result.code else []
    found = next((line for line in lines if _REFUSAL.search(line)), "")
    return _KLOG.sub("", found).strip()


def _flag_name(argument: str) -> str:
    return argument.removeprefix("--").partition("=")[0] if argument.startswith("--") else ""
