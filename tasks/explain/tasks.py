"""Tasks `explain:COMPONENT`: print flags, files and variables of a component with their causes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from tasks.check import versions
from tasks.cli.task import ANSWER, OUTPUT, action, option
from tasks.components.base import Component, Context
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.explain import upstream
from tasks.explain.provenance import DROPPED, FILE, FLAGS, Cause, Item, trace
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import processes, refused_flags
from tasks.runtime.host_queries import HOST_QUERIES
from tasks.settings.load import Settings

WIDTH = 58
"""Columns of an item before its causes."""
_NOT_BUILT = Path("not built yet")


@dataclass(frozen=True)
class Explanation:
    """The items of a component with their causes; the fields are JSON keys of explain."""

    component: str
    version: str
    """Version of Kubernetes."""
    binary: str
    note: str
    """Remarks about the binary, the version and settings that the version does not know."""
    sections: Mapping[str, tuple[Item, ...]]


def explain_component(settings: Settings, name: str) -> Explanation:
    """Explain a component as `up` would start it now, without starting or writing anything."""
    checkout = load_checkout(settings.paths.lock)
    binary, note = _binary(settings, name)
    context, others = _with_host_answers(name, Context(settings, checkout.minor, binary))
    build = COMPONENTS[name].build
    sections = trace(context, build, others)
    problems = [failure.message for failure in versions.unknown_settings(settings, checkout.minor)]
    notes = "; ".join(filter(None, (note, context.facts.note, *problems)))
    return Explanation(
        name,
        checkout.version,
        str(binary),
        notes,
        move_refused(sections, _refused(settings, build(context)), binary),
    )


def move_refused(
    sections: Mapping[str, tuple[Item, ...]], refused: frozenset[str], binary: Path
) -> dict[str, tuple[Item, ...]]:
    """Move the flags that the binary refused from the section `flags` to `dropped`."""
    cause = Cause("refusal", str(binary), "its own parser does not know the flag")
    removed = [item for item in sections[FLAGS] if _flag(item.text) in refused]
    kept = tuple(item for item in sections[FLAGS] if item not in removed)
    dropped = (Item(item.text, (*item.origins, cause)) for item in removed)
    return {**sections, FLAGS: kept, DROPPED: (*sections[DROPPED], *dropped)}


def lines(explanation: Explanation) -> Iterator[str]:
    """Yield an explanation as text: a heading per section, a line per item."""
    yield f"{explanation.component} of Kubernetes {explanation.version}: {explanation.binary}"
    if explanation.note:
        yield explanation.note
    for section, items in explanation.sections.items():
        if items:
            yield f"\n{section}"
        for item in items:
            yield f"  {item.text:<{WIDTH}}  {causes_text(item.origins)}"


def causes_text(causes: tuple[Cause, ...]) -> str:
    """Return causes as one phrase: settings first, causes of the same source together."""
    parts = []
    ranked = sorted(causes, key=lambda cause: (_RANK.index(cause.kind), cause.source))
    for (kind, source), group in groupby(ranked, key=lambda cause: (cause.kind, cause.source)):
        names = ", ".join(cause.name for cause in group)
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


@action
def explain(
    settings: Settings, name: str, output: str, content: bool, beside_upstream: bool
) -> None:
    """Print flags, variables and files of a component, with their causes."""
    explanation = explain_component(settings, name)
    kept = {
        section: items
        for section, items in explanation.sections.items()
        if content or not section.startswith(FILE)
    }
    shown = Explanation(**{**vars(explanation), "sections": kept})
    difference = _compare_with_upstream(settings, name) if beside_upstream else None
    if output == "json":
        more = {"upstream": asdict(difference)} if difference else {}
        console.say(json.dumps({**asdict(shown), **more}, indent=1))
        return
    console.say("\n".join(lines(shown)))
    if difference:
        console.say("\n".join(["\ndifference from hack/local-up-cluster.sh", *difference.lines()]))


def _compare_with_upstream(settings: Settings, name: str) -> upstream.Difference:
    """Compare a component, without the flags that its binary refused, with upstream's dry run."""
    checkout = load_checkout(settings.paths.lock)
    context = Context(settings, checkout.minor, _binary(settings, name)[0])
    component = COMPONENTS[name].build(_with_host_answers(name, context)[0])
    refused = _refused(settings, component)
    argv = tuple(argument for argument in component.argv if _flag(argument) not in refused)
    return upstream.compare(settings, checkout.tree, replace(component, argv=argv))


def _binary(settings: Settings, name: str) -> tuple[Path, str]:
    """Return the binary of a component and an empty note, or a note that tells how to get it."""
    try:
        return processes.binary(settings, name), ""
    except Failure as failure:
        return _NOT_BUILT, f"{failure.message}; {failure.hint}"


def _with_host_answers(name: str, context: Context) -> tuple[Context, dict[Cause, Context]]:
    """Return the context with the answers to the host queries, and one per other answer."""
    others: dict[Cause, Mapping[str, str]] = {}
    for key in COMPONENTS[name].host_queries:
        query = HOST_QUERIES[key]
        with suppress(Failure):  # if its tool is not made yet, the builder uses its default
            answer = query.ask(context.settings)
            context = replace(context, host_answers={**context.host_answers, key: answer})
            others[Cause("tool", query.title, answer or "available")] = {
                key: query.other_answer(answer)
            }
    return context, {
        cause: replace(context, host_answers={**context.host_answers, **answers})
        for cause, answers in others.items()
    }


def _refused(settings: Settings, component: Component) -> frozenset[str]:
    """Return the flags that the binary refused when this command line was last checked."""
    return frozenset(refused_flags.load(settings.paths.run, component) or ())


def _flag(argument: str) -> str:
    return argument.removeprefix("--").partition("=")[0]


def task_explain(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that prints where its flags, files and variables come from."""
    yield {"name": None, "doc": "show the source of a component's flags, files and variables"}
    for name in COMPONENTS:
        yield {
            "name": name,
            "doc": f"show the source of the flags, files and variables of {name}",
            "actions": [(explain, [settings, name])],
            "uptodate": [False],
            "params": [
                OUTPUT,
                option("files", "print the configuration files too, line by line", name="content"),
                option(
                    "upstream",
                    "print the differences from a dry run of the tree's script (1.34 and newer)",
                    name="beside_upstream",
                ),
            ],
            "meta": ANSWER,
        }
