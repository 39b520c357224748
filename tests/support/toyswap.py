"""Debug swaps of the toy, and questions to it; the toy is the fixture `running` of tests/debug."""

from urllib.request import urlopen

from tasks.debug import swap
from tasks.runtime import processes
from tasks.settings.load import Settings
from tasks.system import process, procfs
from tests.support import toycluster
from tests.support.ports import free_port

PORT = free_port()
"""Where the toy answers."""


def current(chosen: Settings) -> process.Record:
    record = process.load(chosen.paths.run, "toy")
    assert record is not None and record.alive()
    return record


def calls(chosen: Settings) -> int:
    url = processes.desired_component(chosen, "toy").health.url
    with urlopen(url, timeout=60) as answer:
        return int(answer.read())


def goes_on(chosen: Settings) -> bool:
    before = calls(chosen)
    identity = current(chosen).identity
    return process.until(lambda: calls(chosen) > before + 3, identity.alive, 60.0, every=0.01)


def enter(chosen: Settings, mode: str) -> process.Record:
    return toycluster.enter(chosen, swap.request(chosen, "toy", swap.as_mode(mode)))


def debugger(chosen: Settings) -> procfs.Identity:
    journal = swap.load(chosen, "toy")
    assert journal is not None and journal.debugger is not None
    return journal.debugger
