"""Task break:<name>: set a tracepoint in a running component, print its hits, and remove it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from typing import IO, Any

from tasks.cli import command_line
from tasks.cli.task import DOCUMENT, action, option
from tasks.components import registry
from tasks.core import console
from tasks.debug import swap
from tasks.delve.probe import Answer, Probe
from tasks.delve.tracepoint import set_tracepoint
from tasks.delve.types import Hit
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.run import UMASK, program, stop_on_exit


def probe_component(
    settings: Settings, name: str, probe: Probe, show: Callable[[Hit], None]
) -> Answer:
    """Run a probe in a component and return its answer; `show` gets each hit when it happens.

    Afterwards the component is as before: same process, under Delve only if it was before. Raises
    Failure if the component or the command cannot run, or if Delve cannot set the tracepoint.
    """
    env = environment(settings)
    if probe.run:
        program(probe.run[0], search=env["PATH"])
    hits: list[Hit] = []
    with ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        with (
            borrowed_delve(settings, name) as address,
            set_tracepoint(address, probe.at, probe.condition) as tracepoint,
        ):
            command = stack.enter_context(start_command(probe.run, env, output))
            deadline, heartbeat = time.monotonic() + probe.timeout, console.Heartbeat()

            def keep_waiting() -> bool:
                heartbeat.beat(f"waiting for {probe.at}")
                failed = command is not None and command.poll()
                return not failed and time.monotonic() < deadline

            for hit in tracepoint.hits(probe.hits, probe.depth, keep_waiting):
                hits.append(hit)
                show(hit)
            complete = len(hits) == probe.hits
            foreign_stop = "" if complete else tracepoint.foreign_stop()
        if command is not None and complete:
            # It can be waiting for an answer of the component, which only now continues.
            with suppress(subprocess.TimeoutExpired):
                command.wait(probe.timeout)
        code = None if command is None else command.poll()
        output.seek(0)
        text = output.read().decode(errors="replace")
        place = str(tracepoint.place)
        return Answer(name, probe, place, tuple(hits), foreign_stop, code, text)


@contextmanager
def borrowed_delve(settings: Settings, name: str) -> Iterator[str]:
    """Put a component under Delve for the block; yield Delve's address.

    A component that was not under Delve before is taken out afterwards. The block holds the lock of
    the component, so that no other run stops, starts or swaps it.
    """
    with files.locked(settings.paths.run / f"{name}.lock"):
        swap.recover(settings, name)
        existing = swap.load(settings, name)
        if existing is not None:
            yield existing.local
            return
        desired = swap.request(settings, name, "debug-attach")
        try:
            swap.enter(settings, swap.require_running(settings, name), desired)
            yield desired.local
        finally:
            swap.leave(settings, name)


@contextmanager
def start_command(
    argv: tuple[str, ...], env: Mapping[str, str], output: IO[bytes]
) -> Iterator[subprocess.Popen[bytes] | None]:
    """Start a command in the user's working folder; yield None for an empty argv.

    A command that still runs at the end of the block is stopped.
    """
    if not argv:
        yield None
        return

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            env=env,
            cwd=command_line.start_folder(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=UMASK,
        )

    with stop_on_exit(start) as process:
        yield process


def environment(settings: Settings) -> dict[str, str]:
    """Return the user's environment with this cluster's kubectl in PATH, and its KUBECONFIG."""
    path = f"{settings.paths.instance / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "KUBECONFIG": str(settings.paths.kubeconfig("admin"))}


def command_lines(answer: Answer) -> Iterator[str]:
    """Yield the text lines about the command: argv, output and exit code; none without command."""
    if answer.question.run:
        yield f"$ {shlex.join(answer.question.run)}"
        yield from (f"  | {line}" for line in answer.output.splitlines())
        yield "  stopped before it exited" if answer.code is None else f"  exit code {answer.code}"


@action
def break_at(
    settings: Settings,
    name: str,
    *,
    at: str,
    run: str,
    condition: str,
    hits: int,
    timeout: float,
    depth: int,
    output: str,
) -> None:
    """Print the hits at a location.

    Raises Failure if there are fewer hits than requested, or if the command fails.
    """
    probe = Probe.parse(at, run, condition, hits=hits, timeout=timeout, depth=depth)

    def show(hit: Hit) -> None:
        if output == "text":
            for line in hit.lines():
                console.say(line)

    answer = probe_component(settings, name, probe, show)
    if output == "text":
        for line in command_lines(answer):
            console.say(line)
    else:
        console.say_document(json.dumps(asdict(answer), ensure_ascii=False, indent=1))
    console.note(f"{len(answer.hits)} of {hits} hits")
    if failure := answer.failure():
        raise failure


OPTIONS = (
    option("at", "location: a function, the end of its name, or file.go:LINE", ""),
    option(
        "run",
        "command that makes the component reach the location; write --run='...' with the =",
        "",
    ),
    option(
        "condition",
        "Go expression that must be true for a hit; write --condition='...' with the =",
        "",
    ),
    option("hits", "number of hits to wait for", 1),
    option("timeout", "seconds to wait for the hits, and then for the command to exit", 60.0),
    option("depth", "number of stack frames to print", 12),
    option(
        "output",
        "output format",
        "text",
        choices=(
            ("text", "for people"),
            ("json", "one document on stdout, other output on stderr"),
        ),
    ),
)


def task_break(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that prints the hits at a location in its code."""
    yield {"name": None, "doc": "stop at a function and print variables and stack"}
    for name in registry.debug_offsets():
        yield {
            "name": name,
            "doc": f"stop {name} at a function or line, print variables and stack, resume it",
            "actions": [(break_at, [settings, name])],
            "task_dep": ["_cluster-runs", "toolchain:delve"],
            "uptodate": [False],
            "params": list(OPTIONS),
            "meta": DOCUMENT,
        }
