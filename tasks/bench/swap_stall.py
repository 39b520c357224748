"""Benchmark of a debug swap: how long clients of the cluster stall. It is not run as a test.

One thread polls /readyz and another creates objects, during four phases: debug and undebug in mode
attach, then both in mode exec. The stall is the longest time without an answer; the outage is the
number of refused requests.
"""

from __future__ import annotations

import functools
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tasks.cli.task import action
from tasks.components import registry
from tasks.core import console
from tasks.debug import swap
from tasks.runtime import api_request
from tasks.settings.load import Settings
from tasks.system import files

REQUEST_INTERVAL = 0.02
"""Seconds between two requests of a client."""
ROW_FORMAT = "{:<22}{:>9}{:>12}{:>12}{:>14}{:>14}"


@dataclass
class Probe:
    """Client that repeats a request and records the times of the answers."""

    settings: Settings
    request: Callable[[int], tuple[str, str, str]]
    """Returns method, path and body of the request with a number."""
    ok: frozenset[int]
    """HTTP status codes of a good answer."""
    answered: list[float] = field(default_factory=list)
    """Times of good answers, from time.monotonic()."""
    refused: int = 0
    """Number of requests without a good answer."""
    stopping: bool = False
    """Set to true to stop `run`."""

    def run(self) -> None:
        """Repeat the request until `stopping` is true."""
        import http.client  # noqa: PLC0415 - `doit list` stays fast

        for number in itertools.count():
            if self.stopping:
                return
            try:
                status = self.send(number)
            except (OSError, http.client.HTTPException):
                status = 0
            if status in self.ok:
                self.answered.append(time.monotonic())
            else:
                self.refused += 1
            time.sleep(REQUEST_INTERVAL)

    def stall(self, start: float, end: float) -> float:
        """Return the longest time without a good answer between two times, in seconds."""
        inside = [time_ for time_ in self.answered if start <= time_ <= end]
        return max(b - a for a, b in itertools.pairwise([start, *inside, end]))

    def send(self, number: int) -> int:
        """Send one request and return the HTTP status code of the answer."""
        method, path, body = self.request(number)
        status, _ = api_request.send(self.settings, method, path, body)
        return status


def readyz(settings: Settings) -> Probe:
    """Return a client that polls /readyz."""
    return Probe(settings, lambda _: ("GET", "/readyz", ""), frozenset({200}))


def writer(settings: Settings) -> Probe:
    """Return a client that creates one ConfigMap after the other."""
    prefix = f"bench-{time.time_ns():x}"

    def create(number: int) -> tuple[str, str, str]:
        value = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{prefix}-{number}", "labels": {"made-by": "stepkube-bench"}},
        }
        return "POST", "/api/v1/namespaces/default/configmaps", json.dumps(value)

    return Probe(settings, create, frozenset({201}))


def phases(settings: Settings, name: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield name and function of each phase: debug and undebug in both modes."""
    for mode in ("attach", "exec"):
        desired = swap.request(settings, name, swap.as_mode(mode))
        record = swap.require_running(settings, name)
        yield f"debug, {mode}", functools.partial(swap.enter, settings, record, desired)
        yield f"undebug, {mode}", functools.partial(swap.leave, settings, name)


@contextmanager
def polling(*probes: Probe) -> Iterator[Probe]:
    """Run clients in threads for the block; yield the first one."""
    threads = [threading.Thread(target=probe.run, daemon=True) for probe in probes]
    for thread in threads:
        thread.start()
    try:
        yield probes[0]
    finally:
        for probe in probes:
            probe.stopping = True
        for thread in threads:
            thread.join(60)


@action
def measure(settings: Settings, name: str) -> None:
    """Measure every phase for one component and print a table."""
    reads, writes = readyz(settings), writer(settings)
    titles = ("phase", "duration", "stall GET", "stall POST", "refused GET", "refused POST")
    console.say(ROW_FORMAT.format(*titles))
    try:
        with polling(reads, writes), files.locked(settings.paths.run / f"{name}.lock"):
            for phase, execute in phases(settings, name):
                time.sleep(1)  # the clients need some normal answers before the phase
                before, start = (reads.refused, writes.refused), time.monotonic()
                execute()
                end = time.monotonic()
                time.sleep(1)
                cells = (
                    f"{end - start:.2f} s",
                    f"{reads.stall(start, end + 1):.2f} s",
                    f"{writes.stall(start, end + 1):.2f} s",
                    reads.refused - before[0],
                    writes.refused - before[1],
                )
                console.say(ROW_FORMAT.format(phase, *cells))
    finally:
        _delete_objects(settings)


def _delete_objects(settings: Settings) -> None:
    """Delete the objects that `writer` created."""
    path = "/api/v1/namespaces/default/configmaps?labelSelector=made-by%3Dstepkube-bench"
    Probe(settings, lambda _: ("DELETE", path, ""), frozenset({200})).send(0)


def component_tasks(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that measures its debug swap."""
    for name in registry.debug_offsets():
        yield {
            "name": name,
            "doc": f"measure how long clients stall during debug:{name} and undebug:{name}",
            "actions": [(measure, [settings, name])],
            "task_dep": ["toolchain:delve"],
            "uptodate": [False],
        }
