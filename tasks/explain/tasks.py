"""Why a component runs the way it does: its command line, files and variables, with origins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from tasks.check import versions
from tasks.components.base import Component, Context
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.explain import upstream
from tasks.explain.provenance import DROPPED, FILE, FLAGS, Cause, Word, trace
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import processes
from tasks.runtime.probes import PROBES
from tasks.settings.load import Settings, current
from tasks.system import files

WIDTH = 58
"""Columns of a word before its origins."""
_NOT_BUILT = Path("not built yet")


@dataclass(frozen=True)
class Explanation:
    """All there is to say of a component: `note` is about its binary and its version."""

    component: str
    version: str
    binary: str
    note: str
    sections: Mapping[str, tuple[Word, ...]]


def explained(settings: Settings, name: str) -> Explanation:
    """Explain a component as it would be started now, without starting or writing anything."""
    checkout = load_checkout(settings.paths.lock)
    binary, note = _binary(settings, name)
    context, others = _probed(name, Context(settings, checkout.minor, binary))
    build = COMPONENTS[name].build
    sections = trace(context, build, others)
    problems = [failure.message for failure in versions.unknown_settings(settings, checkout.minor)]
    notes = "; ".join(filter(None, (note, context.facts.note, *problems)))
    return Explanation(
        name,
        checkout.version,
        str(binary),
        notes,
        explain_absence(sections, _refused(settings, build(context)), binary),
    )


def explain_absence(
    sections: Mapping[str, tuple[Word, ...]], refused: frozenset[str], binary: Path
) -> dict[str, tuple[Word, ...]]:
    """Move the flags that the binary refused to those that were dropped."""
    why = Cause("refusal", str(binary), "its own parser does not know the flag")
    gone = [word for word in sections[FLAGS] if _flag(word.text) in refused]
    kept = tuple(word for word in sections[FLAGS] if word not in gone)
    more = (Word(word.text, (*word.origins, why)) for word in gone)
    return {**sections, FLAGS: kept, DROPPED: (*sections[DROPPED], *more)}


def lines(explanation: Explanation) -> Iterator[str]:
    """Yield an explanation for people: a heading per section, a line per word."""
    yield f"{explanation.component} of Kubernetes {explanation.version}: {explanation.binary}"
    if explanation.note:
        yield explanation.note
    for section, words in explanation.sections.items():
        if words:
            yield f"\n{section}"
        for word in words:
            yield f"  {word.text:<{WIDTH}}  {in_words(word.origins)}"


def in_words(origins: tuple[Cause, ...]) -> str:
    """Return origins as one phrase: settings first, those of the same source together."""
    parts = []
    ranked = sorted(origins, key=lambda origin: (_RANK.index(origin.kind), origin.source))
    for (kind, source), group in groupby(ranked, key=lambda origin: (origin.kind, origin.source)):
        names = ", ".join(origin.name for origin in group)
        phrase = _PHRASES["default" if source == "default" else kind]
        parts.append(phrase.format(names=names, source=source))
    return "; ".join(parts) or "always"


_RANK = ("setting", "tool", "fact", "version", "refusal", "instance")
_PHRASES = {
    "setting": "{names} from {source}",
    "default": "default of {names}",
    "tool": "{names} ({source})",
    "fact": "fact {names} ({source})",
    "version": "known {source}",
    "refusal": "{source}",
    "instance": "instance {names}",
}


@console.action
def explain(
    settings: Settings, name: str, output: str, content: bool, beside_upstream: bool
) -> None:
    """Print what a component is made of and where that came from."""
    explanation = explained(settings, name)
    kept = {
        section: words
        for section, words in explanation.sections.items()
        if content or not section.startswith(FILE)
    }
    shown = Explanation(**{**vars(explanation), "sections": kept})
    other = _beside_upstream(settings, name) if beside_upstream else None
    if output == "json":
        more = {"upstream": asdict(other)} if other else {}
        console.say(json.dumps({**asdict(shown), **more}, indent=1))
        return
    console.say("\n".join(lines(shown)))
    if other:
        console.say("\n".join(["\ndifference from hack/local-up-cluster.sh", *other.lines()]))


def _beside_upstream(settings: Settings, name: str) -> upstream.Difference:
    """Compare a component, without the flags its binary refused, with upstream's dry run."""
    checkout = load_checkout(settings.paths.lock)
    context = Context(settings, checkout.minor, _binary(settings, name)[0])
    component = COMPONENTS[name].build(_probed(name, context)[0])
    refused = _refused(settings, component)
    argv = tuple(word for word in component.argv if _flag(word) not in refused)
    return upstream.compared(settings, checkout.tree, replace(component, argv=argv))


def _binary(settings: Settings, name: str) -> tuple[Path, str]:
    """Return the program a component runs, or that there is none and how to get it."""
    try:
        return processes.binary(settings, name), ""
    except Failure as failure:
        return _NOT_BUILT, f"{failure.message}; {failure.hint}"


def _probed(name: str, context: Context) -> tuple[Context, dict[Cause, Context]]:
    """Return the context with what this machine answers, and contexts of machines that differ."""
    others: dict[Cause, Mapping[str, str]] = {}
    for one in COMPONENTS[name].probes:
        probe = PROBES[one]
        with suppress(Failure):  # its tool is not made yet: the builder's default counts
            answer = probe.ask(context.settings)
            context = replace(context, probed={**context.probed, one: answer})
            others[Cause("tool", probe.title, answer or "there")] = {one: probe.other(answer)}
    return context, {
        cause: replace(context, probed={**context.probed, **answers})
        for cause, answers in others.items()
    }


def _refused(settings: Settings, component: Component) -> frozenset[str]:
    """Return the flags that the binary refused when it was last asked about this command line."""
    asked = files.read_json(settings.paths.run / f"{component.name}.flags") or {}
    same = asked.get("asked") == files.digest(*component.argv)
    return frozenset(asked["refused"]) if same else frozenset()


def _flag(word: str) -> str:
    return word.removeprefix("--").partition("=")[0]


def task_explain() -> Iterator[dict[str, Any]]:
    """Yield one task per component that tells where its command line came from."""
    yield {"name": None, "doc": "show where a component's flags, files and variables came from"}
    settings = current()
    for name in COMPONENTS:
        yield {
            "name": name,
            "doc": f"show where the flags, files and variables of {name} came from",
            "actions": [(explain, [settings, name])],
            "uptodate": [False],
            "params": [
                console.OUTPUT,
                {
                    "name": "content",
                    "long": "files",
                    "type": bool,
                    "default": False,
                    "help": "the configuration files too, line by line",
                },
                {
                    "name": "beside_upstream",
                    "long": "upstream",
                    "type": bool,
                    "default": False,
                    "help": "what differs from the tree's own script, by its dry run (1.34 on)",
                },
            ],
            "meta": console.ANSWER,
        }
