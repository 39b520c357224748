"""What a client of the cluster notices of a debug swap: the benchmark, never run as a test.

One thread polls /readyz, another writes objects, while a component is attached to, given back,
started under Delve and given back again. The longest time without an answer is the stall; what was
refused in the meantime is the outage.
"""

from __future__ import annotations

import functools
import http.client
import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tasks.cli.task import action
from tasks.components import registry
from tasks.core import console
from tasks.debug import swap
from tasks.settings.load import Settings
from tasks.system import files

EVERY = 0.02
"""Seconds between two requests of a client."""
ROW = "{:<22}{:>9}{:>12}{:>12}{:>14}{:>14}"


@dataclass
class Probe:
    """A client that repeats one request and remembers when it was answered."""

    settings: Settings
    request: Callable[[int], tuple[str, str, str]]
    ok: frozenset[int]
    answered: list[float] = field(default_factory=list)
    refused: int = 0
    stopping: bool = False

    def run(self) -> None:
        """Ask again and again until told to stop."""
        for number in itertools.count():
            if self.stopping:
                return
            try:
                status = self._ask(number)
            except (OSError, http.client.HTTPException):
                status = 0
            if status in self.ok:
                self.answered.append(time.monotonic())
            else:
                self.refused += 1
            time.sleep(EVERY)

    def stall(self, start: float, end: float) -> float:
        """Return the longest time in seconds without a good answer between two moments."""
        inside = [moment for moment in self.answered if start <= moment <= end]
        return max(b - a for a, b in itertools.pairwise([start, *inside, end]))

    def _ask(self, number: int) -> int:
        method, path, body = self.request(number)
        certs = self.settings.paths.certs
        context = ssl.create_default_context(cafile=str(certs / "server-ca.crt"))
        context.load_cert_chain(certs / "client-admin.crt", certs / "client-admin.key")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.settings.api.secure_port, timeout=60, context=context
        )
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


def readyz(settings: Settings) -> Probe:
    """Return a client that polls /readyz."""
    return Probe(settings, lambda _: ("GET", "/readyz", ""), frozenset({200}))


def writer(settings: Settings) -> Probe:
    """Return a client that writes one object after the other."""
    run = f"bench-{time.time_ns():x}"

    def create(number: int) -> tuple[str, str, str]:
        value = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{run}-{number}", "labels": {"made-by": "stepkube-bench"}},
        }
        return "POST", "/api/v1/namespaces/default/configmaps", json.dumps(value)

    return Probe(settings, create, frozenset({201}))


def phases(settings: Settings, name: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the steps of a swap, by name."""
    for mode in ("attach", "exec"):
        wanted = swap.request(settings, name, swap.as_mode(mode))
        record = swap.require_running(settings, name)
        yield f"debug, {mode}", functools.partial(swap.enter, settings, record, wanted)
        yield f"undebug, {mode}", functools.partial(swap.leave, settings, name)


@action
def bench(settings: Settings, name: str) -> None:
    """Measure every phase of a swap of one component and print a table."""
    reader, writes = readyz(settings), writer(settings)
    threads = [threading.Thread(target=probe.run, daemon=True) for probe in (reader, writes)]
    for thread in threads:
        thread.start()
    titles = ("phase", "took", "stall GET", "stall POST", "refused GET", "refused POST")
    console.say(ROW.format(*titles))
    try:
        with files.locked(settings.paths.run / f"{name}.lock"):
            for phase, act in phases(settings, name):
                time.sleep(1)  # a client in its stride
                before, start = (reader.refused, writes.refused), time.monotonic()
                act()
                took, end = time.monotonic() - start, time.monotonic()
                time.sleep(1)
                cells = (
                    f"{took:.2f} s",
                    f"{reader.stall(start, end + 1):.2f} s",
                    f"{writes.stall(start, end + 1):.2f} s",
                    reader.refused - before[0],
                    writes.refused - before[1],
                )
                console.say(ROW.format(phase, *cells))
    finally:
        reader.stopping = writes.stopping = True
        for thread in threads:
            thread.join(60)
        _clean(settings)


def _clean(settings: Settings) -> None:
    """Remove the objects that were written."""
    path = "/api/v1/namespaces/default/configmaps?labelSelector=made-by%3Dstepkube-bench"
    Probe(settings, lambda _: ("DELETE", path, ""), frozenset({200}))._ask(0)


def task_bench(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one task per component that measures what a client notices of its swap."""
    yield {"name": None, "doc": "measure what a client notices of a debug swap"}
    for name in registry.debug_offsets():
        yield {
            "name": name,
            "doc": f"measure what a client notices while {name} is debugged and given back",
            "actions": [(bench, [settings, name])],
            "task_dep": ["toolchain:delve"],
            "uptodate": [False],
        }
