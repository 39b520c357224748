"""Help: the text of `doit help`, `doit help TASK` and `doit list`, in groups of tasks."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Task = Mapping[str, Any]
"""A task description for doit."""

GROUPS = {
    "everyday": ("everyday", "cluster", "instances", "shell"),
    "debug": ("debug", "watch", "editors"),
    "build": ("check", "checkout", "toolchain", "build", "certs"),
    "look": ("explain",),
    "addons": ("addons",),
    "host": ("host",),
}
"""The stages of the pipeline in each group of `doit list`; other stages have a group each."""
INTERNAL = frozenset(
    {"certs", "checkout", "downloads", "generated", "image", "manifests", "sources", "toolchain"}
)
"""Tasks that other tasks run: only `doit list --all` shows them."""
EXAMPLES = {
    "up": ("up", "up version=v1.20.2", "up --timeline trace.json"),
    "debug": ("debug:kubelet", "debug:kube-scheduler --mode exec --stop-at-entry"),
    "undebug": ("undebug:kubelet",),
    "resume": ("resume:kubelet",),
    "break": ("break:kube-scheduler --at=schedulePod --run='kubectl create -f pod.yaml'",),
    "ide": ("ide", "ide --editor nvim", "clean ide"),
    "build": ("build:kube-apiserver",),
    "start": ("start:kube-scheduler",),
    "stop": ("stop:kube-scheduler",),
    "status": ("status", "status -o json"),
    "load": ("load --archive images.tar",),
    "addons": ("addons:dns",),
    "explain": ("explain:kubelet",),
    "bench": ("bench:pipeline",),
    "completion": ("completion bash", "completion zsh", "completion fish"),
}
"""Arguments of doit that show how a task is used, by the name of its group."""
SEE_ALSO = {
    "up": ("status", "down", "docs/modes.md"),
    "down": ("up", "stop"),
    "status": ("up", "explain"),
    "debug": ("undebug", "resume", "break", "docs/debugging.md"),
    "undebug": ("debug",),
    "resume": ("debug", "break"),
    "break": ("debug", "docs/breakpoints.md"),
    "ide": ("debug", "docs/editors.md"),
    "build": ("start", "docs/pipeline.md"),
    "start": ("stop", "status"),
    "stop": ("start", "down"),
    "load": ("docs/node.md",),
    "addons": ("docs/addons.md",),
    "bundle": ("unbundle", "docs/offline.md"),
    "unbundle": ("bundle", "docs/offline.md"),
    "mirror": ("docs/host.md",),
    "packages": ("docs/host.md",),
    "firewall": ("docs/host.md",),
    "explain": ("config", "versions", "docs/explain.md"),
    "versions": ("explain", "docs/versions.md"),
    "config": ("check", "docs/configuration.md"),
    "check": ("config", "docs/configuration.md"),
    "bench": ("docs/performance.md",),
    "completion": ("docs/control.md",),
}
"""Related tasks and pages, by the name of the group."""
FIRST_LINES = """\
usage: doit [TASK] [OPTIONS] [KEY=VALUE ...]
  build Kubernetes, run it as processes of this machine, and debug them

examples:
  doit up                      build what changed and start the cluster
  doit debug:kube-apiserver    put a component under Delve
  doit undebug:kube-apiserver  take it out again
  doit down                    stop all components
"""
LAST_LINES = """\
doit help TASK shows the options of a task, doit list --all shows every task.
doit config shows the settings; README.md and docs/ explain them."""


def full_name(task: Task) -> str:
    """Return the name of a task, such as `up` or `build:kubelet`."""
    name, part = task["basename"], task.get("name")
    return f"{name}:{part}" if part else str(name)


def _group(task: Task) -> str:
    """Return the name of a task without its part: `build` for `build:kubelet`."""
    return str(task["basename"]).partition(":")[0]


def overview(stages: Mapping[str, Sequence[Task]]) -> str:
    """Return the text of `doit help`: usage, examples, the tasks in groups."""
    return f"{FIRST_LINES}\n{task_list(stages)}\n\n{LAST_LINES}"


def task_list(stages: Mapping[str, Sequence[Task]]) -> str:
    """Return the text of `doit list`: the tasks without parts and internal ones, in groups."""
    grouped = {stage for stages_of_group in GROUPS.values() for stage in stages_of_group}
    groups = {**GROUPS, **{stage: (stage,) for stage in stages if stage not in grouped}}
    lines: list[str] = []
    for group, members in groups.items():
        rows = [row for stage in members for row in _rows(stages.get(stage, ()))]
        lines += [f"{group}:", *rows, ""] if rows else []
    internal = [name for tasks in stages.values() for name in _groups(tasks) if name in INTERNAL]
    if internal:
        lines.append(f"run by other tasks: {', '.join(internal)}")
    return "\n".join(lines)


def _groups(tasks: Iterable[Task]) -> dict[str, Task]:
    """Return the first description of each group or single task, by name."""
    groups: dict[str, Task] = {}
    for task in tasks:
        if ":" not in full_name(task) and not full_name(task).startswith("_"):
            groups.setdefault(task["basename"], task)
    return groups


def _rows(tasks: Iterable[Task]) -> Iterator[str]:
    for name, task in _groups(tasks).items():
        if name not in INTERNAL:
            yield f"  {name:<10} {_doc(task)}"


def _doc(task: Task) -> str:
    return str(task.get("doc") or "")


def task_help(name: str, tasks: Sequence[Task]) -> str:
    """Return the help of a task or group: usage, purpose, parts, options, examples, see also."""
    task = next(task for task in tasks if full_name(task) == name)
    group = _group(task)
    parts = [other for other in tasks if _group(other) == name and full_name(other) != name]
    params = task.get("params") or _shared_params(parts)
    positional = f" {str(task['pos_arg']).upper()}..." if task.get("pos_arg") else ""
    part = "[:NAME]" if parts else ""
    lines = [
        f"usage: doit {name}{part}{' [OPTIONS]' if params else ''}{positional} [KEY=VALUE ...]"
    ]
    lines.append(f"  {_doc(task)}")
    if parts:
        lines += ["", f"tasks (doit {name} runs those that are configured):"]
        width = max(len(full_name(task)) for task in parts)
        lines += [f"  {full_name(task):<{width}}  {_doc(task)}" for task in parts]
    if params:
        lines += ["", "options:", *(line for param in params for line in _option(param))]
    examples = EXAMPLES.get(group, (name,))
    own = [example for example in examples if example.split()[0] == name]
    lines += ["", "examples:", *(f"  doit {example}" for example in own or examples)]
    if related := SEE_ALSO.get(group):
        words = [word if "/" in word else f"doit help {word}" for word in related]
        lines += ["", f"see also: {', '.join(words)}"]
    return "\n".join(lines)


def _shared_params(parts: Sequence[Task]) -> Sequence[Task]:
    """Return the options of the first part of a group: all its parts have the same."""
    return next((task["params"] for task in parts if task.get("params")), ())


def _option(param: Task) -> Iterator[str]:
    """Yield the lines of one option: its names, text, values and default."""
    short = f"-{param['short']}, " if param.get("short") else ""
    value = "" if param["type"] is bool else f" {str(param['long']).upper()}"
    yield f"  {short}--{param['long']}{value}"
    default = param["default"]
    shown = f" (default: {default})" if default not in ("", False, None) else ""
    width = max(shutil.get_terminal_size((100, 24)).columns - 6, 40)
    for line in textwrap.wrap(f"{param['help']}{shown}", width):
        yield f"      {line}"
    for choice, text in param.get("choices") or ():
        yield f"        {choice:<10} {text}".rstrip()
