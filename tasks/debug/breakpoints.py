"""Ask a running component how a place in its code is reached, and leave it as it was found."""

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
from tasks.system.run import program, stop_on_exit


def ask_components(
    settings: Settings, name: str, question: Probe, show: Callable[[Hit], None]
) -> Answer:
    """Stop a component at a place and read what is there; `show` gets each hit as it happens."""
    env = environment(settings)
    if question.run:
        program(question.run[0], search=env["PATH"])
    hits: list[Hit] = []
    with ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        with (
            borrowed_delve(settings, name) as address,
            set_tracepoint(address, question.at, question.condition) as watch,
        ):
            command = stack.enter_context(start_command(question.run, env, output))
            deadline, heart = time.monotonic() + question.timeout, console.Heartbeat()

            def hopeful() -> bool:
                heart.beat(f"waiting for {question.at}")
                failed = command is not None and command.poll()
                return not failed and time.monotonic() < deadline

            for hit in watch.hits(question.hits, question.depth, hopeful):
                hits.append(hit)
                show(hit)
            complete = len(hits) == question.hits
            held = "" if complete else watch.foreign_stop()
        if command is not None and complete:
            # It may be waiting for an answer of the component, which runs on only now.
            with suppress(subprocess.TimeoutExpired):
                command.wait(question.timeout)
        code = None if command is None else command.poll()
        output.seek(0)
        said = output.read().decode(errors="replace")
        return Answer(name, question, str(watch.place), tuple(hits), held, code, said)


@contextmanager
def borrowed_delve(settings: Settings, name: str) -> Iterator[str]:
    """Have a component under Delve for the block; take it out again unless it was there before.

    The lock is kept all the while: nobody else stops, starts or swaps the component meanwhile.
    """
    with files.locked(settings.paths.run / f"{name}.lock"):
        swap.recover(settings, name)
        present = swap.load(settings, name)
        if present is not None:
            yield present.local
            return
        wanted = swap.request(settings, name, "debug-attach")
        try:
            swap.enter(settings, swap.require_running(settings, name), wanted)
            yield wanted.local
        finally:
            swap.leave(settings, name)


@contextmanager
def start_command(
    argv: tuple[str, ...], env: Mapping[str, str], output: IO[bytes]
) -> Iterator[subprocess.Popen[bytes] | None]:
    """Run a command, if there is one, in the user's folder; end it with the block at the latest."""
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
        )

    with stop_on_exit(start) as process:
        yield process


def environment(settings: Settings) -> dict[str, str]:
    """Return the user's environment with this cluster's kubectl and kubeconfig in it."""
    path = f"{settings.paths.instance / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "KUBECONFIG": str(settings.paths.kubeconfig("admin"))}


def end_command(answer: Answer) -> Iterator[str]:
    """Yield what there is to say about the command, after the hits."""
    if answer.question.run:
        yield f"$ {shlex.join(answer.question.run)}"
        yield from (f"  | {line}" for line in answer.output.splitlines())
        yield "  it was ended" if answer.code is None else f"  exit code {answer.code}"


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
    """Print what is seen at the place, and fail when that is not all that was asked for."""
    question = Probe.parse(at, run, condition, hits=hits, timeout=timeout, depth=depth)

    def show(hit: Hit) -> None:
        if output == "text":
            for line in hit.lines():
                console.say(line)

    answer = ask_components(settings, name, question, show)
    if output == "text":
        for line in end_command(answer):
            console.say(line)
    else:
        console.say_document(json.dumps(asdict(answer), ensure_ascii=False, indent=1))
    console.note(f"{len(answer.hits)} of {hits} hits")
    if failure := answer.failure():
        raise failure


OPTIONS = (
    option("at", "where: a function, the end of its name, or file.go:LINE", ""),
    option("run", "a command that leads there; write --run='...' with the =", ""),
    option("condition", "a Go expression; write --condition='...' with the =", ""),
    option("hits", "how many hits to wait for", 1),
    option("timeout", "seconds to wait for them, and then for the command's end", 60.0),
    option("depth", "calls of the stack to show", 12),
    option(
        "output",
        "how to print what was seen",
        "text",
        choices=(("text", "for people"), ("json", "one document on stdout, all else on stderr")),
    ),
)


def task_break(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that shows how a place in its code is reached."""
    yield {"name": None, "doc": "show who reaches a function of a running component, and with what"}
    for name in registry.debug_offsets():
        yield {
            "name": name,
            "doc": f"stop {name} at a function or line, show variables and stack, let it run on",
            "actions": [(break_at, [settings, name])],
            "task_dep": ["toolchain:delve"],
            "uptodate": [False],
            "params": list(OPTIONS),
            "meta": DOCUMENT,
        }
