"""Rows of the benchmark that start a control plane in the scratch workspace, or debug it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks import delve
from tasks.bench import edits, swap_stall
from tasks.bench.builds import MODULE, PACKAGE
from tasks.bench.context import Bench
from tasks.bench.report import Figure
from tasks.bench.scratch import Scratch
from tasks.components.registry import COMPONENTS, debug_port
from tasks.debug import swap
from tasks.debug.preflight import check_go_version
from tasks.kubernetes.tool_record import load_tool
from tasks.system import process

WALL = "s"
SECOND = 1e6
"""Microseconds of a timeline per second."""
COMPONENT = "kube-apiserver"
"""The component that is debugged: the one with the most debug information."""


def serve(bench: Bench) -> Iterator[Figure]:
    """Measure an edit until the component serves again, without go's and the component's part."""
    made, path = bench.cluster, PACKAGE / "scheduler.go"
    totals, rests = [], []
    for number in range(bench.runs):
        bench.progress(f"serve: run {number + 1} of {bench.runs}")
        text = f"\n// stepkube bench\nfunc stepkubeBenchServe{number}() int {{ return 1 }}\n"
        with edits.appended(bench.user, bench.builds.file(path), text):
            events = _timeline(made, f"start:{MODULE}")
        total = _end(events) - _first(events)
        go = sum(event["dur"] for event in events if " build " in event["args"].get("command", ""))
        ready = sum(event["dur"] for event in events if event["name"] == f"{MODULE} becomes ready")
        totals.append(total / SECOND)
        rests.append((total - go - ready) / SECOND)
    made.doit(f"start:{MODULE}")
    yield Figure("serve", f"edit until {MODULE} serves again", WALL, tuple(totals))
    what = "the same without `go build` and the start of the component itself"
    yield Figure("serve", what, WALL, tuple(rests), 1.0)


def start(bench: Bench) -> Iterator[Figure]:
    """Measure the start of the control plane next to the slowest chain of its components."""
    made = bench.cluster
    totals, chains = [], []
    for number in range(bench.runs):
        bench.progress(f"start: run {number + 1} of {bench.runs}")
        made.doit("down")
        events = [event for event in _timeline(made, "up") if event["cat"] == "wait"]
        totals.append((_end(events) - _first(events)) / SECOND)
        chains.append(slowest_chain(_ready_times(events)))
    what = "control plane from built binaries to ready"
    yield Figure("start", what, WALL, tuple(totals), 1.1, tuple(chains), "slowest chain")


def slowest_chain(seconds: Mapping[str, float]) -> float:
    """Return the longest time of components that need each other, when the others start with them.

    `seconds` are the times from start to ready by component.
    """

    def until_ready(name: str) -> float:
        needed = (other for other in COMPONENTS[name].after if other in seconds)
        return seconds[name] + max(map(until_ready, needed), default=0.0)

    return max(map(until_ready, seconds), default=0.0)


def attach(bench: Bench) -> Iterator[Figure]:
    """Measure how long clients stall while Delve attaches, and `doit undebug`."""
    made, undebug = bench.cluster, []
    with swap_stall.polling(swap_stall.readyz(made.settings)) as probe:

        def stall(enter: Callable[[], object]) -> float:
            time.sleep(1)  # the client needs some normal answers before
            begin = time.monotonic()
            enter()
            end = time.monotonic()
            time.sleep(1)
            return probe.stall(begin, end + 1)

        ours, bare = [], []
        for number in range(bench.runs):
            bench.progress(f"attach: run {number + 1} of {bench.runs}")
            ours.append(stall(lambda: made.doit(f"debug:{COMPONENT}")))
            undebug.append(made.time(f"undebug:{COMPONENT}").wall)
            bare.append(stall(lambda: _attach_bare(made)))
            _detach(made)
    what = f"stall of clients while Delve attaches to {COMPONENT}"
    yield Figure("attach", what, WALL, tuple(ours), 1.2, tuple(bare), "dlv attach")
    yield Figure("attach", f"`doit undebug:{COMPONENT}`", WALL, tuple(undebug), 0.5)


def _address(made: Scratch) -> str:
    return f"127.0.0.1:{debug_port(made.settings, COMPONENT)}"


def _attach_bare(made: Scratch) -> None:
    """Run `dlv attach` as a user would, and wait until it answers."""
    settings = made.settings
    record = swap.require_running(settings, COMPONENT)
    log = settings.paths.home / "dlv.log"
    argv = delve.attach_argv(
        load_tool(settings, "delve").bin,
        record.identity.pid,
        listen=_address(made),
        log=log,
        check_go_version=check_go_version(settings, COMPONENT),
    )
    env = process.environment(f"dlv-{COMPONENT}", settings.paths.instance, {})
    name = f"dlv-{COMPONENT}"  # its mark lets `down` stop it
    debugger = process.spawn(name, argv, env, cwd=log.parent, log=log, fingerprint="")
    with delve.wait_ready(_address(made), 60.0, debugger.identity.alive) as client:
        client.wait_running(60.0)


def _detach(made: Scratch) -> None:
    with delve.Delve(_address(made)) as client:
        client.halt()
        client.detach()


def _timeline(made: Scratch, *words: str) -> list[dict[str, Any]]:
    """Run doit in the scratch workspace; return the events of its timeline."""
    file = Path(made.settings.paths.home, "timeline.json")
    made.doit(f"logs.timeline={file}", *words)
    events = json.loads(file.read_text())["traceEvents"]
    return [event for event in events if event["ph"] == "X"]


def _ready_times(events: list[dict[str, Any]]) -> dict[str, float]:
    """Return the seconds from start to ready by component."""
    suffix = " becomes ready"
    named = {event["name"].removesuffix(suffix): event["dur"] / SECOND for event in events}
    return {name: seconds for name, seconds in named.items() if name in COMPONENTS}


def _first(events: list[dict[str, Any]]) -> float:
    return float(min(event["ts"] for event in events))


def _end(events: list[dict[str, Any]]) -> float:
    return float(max(event["ts"] + event["dur"] for event in events))
