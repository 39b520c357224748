"""What is known of a debug swap: wanted, how far it came, and where the component stands now.

The journal is a file that is written before each step, so that whatever dies in between, `status`
tells the truth and `swap.leave` finds its way back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

from tasks import delve
from tasks.components.registry import debug_port
from tasks.core import console
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files, process, procfs
from tasks.system.process import Mode, Record
from tasks.system.procfs import Identity

Step = Literal["entering", "ready", "leaving"]
MODES = (
    ("attach", "leave the process alone and trace it"),
    ("exec", "start it again under Delve, for main() and start-up code"),
)


@dataclass(frozen=True)
class Swap:
    """One swap.

    `hold` keeps the component standing until a client lets it go on; `any_user` lets Delve serve
    other local users; `firewall` is the command that closes an opened port again.
    """

    mode: Mode
    listen: str
    hold: bool = False
    any_user: bool = False
    firewall: tuple[str, ...] = ()
    step: Step = "entering"
    debugger: Identity | None = None

    @property
    def broken(self) -> bool:
        """Whether the swap was cut off half way, or has lost its debugger."""
        return self.step != "ready" or self.debugger is None or not self.debugger.alive()

    @property
    def port(self) -> int:
        """Return the port Delve listens on."""
        return int(self.listen.rpartition(":")[2])

    @property
    def local(self) -> str:
        """Return the address to reach Delve at from this machine."""
        host = self.listen.rpartition(":")[0]
        return f"127.0.0.1:{self.port}" if host in ("0.0.0.0", "[::]", "") else self.listen  # noqa: S104


def request(settings: Settings, name: str, mode: Mode, *, hold: bool = False) -> Swap:
    """Return the swap a user asks for, on the component's own port."""
    return Swap(mode, f"127.0.0.1:{debug_port(settings, name)}", hold)


def as_mode(word: str) -> Mode:
    """Return the mode a user's word means."""
    return cast("Mode", f"debug-{word}")


def path(settings: Settings, name: str) -> Path:
    """Return where a component's journal lies."""
    return settings.paths.swap / f"{name}.json"


def load(settings: Settings, name: str) -> Swap | None:
    """Return a component's journal, or None when it is not being debugged."""
    value = files.read_json(path(settings, name))
    if value is None:
        return None
    try:
        debugger = value.pop("debugger")
        firewall = tuple(value.pop("firewall"))
        identity = Identity(**debugger) if debugger else None
        return Swap(**value, firewall=firewall, debugger=identity)
    except (KeyError, TypeError) as error:
        file = path(settings, name)
        raise Failure(f"{file} is not a journal of this version: {error}", f"rm {file}") from error


def write(settings: Settings, name: str, swap: Swap) -> None:
    """Write a journal down."""
    files.write_json(path(settings, name), asdict(swap), 0o600)


def remove(settings: Settings, name: str) -> None:
    """Forget a swap that is over."""
    path(settings, name).unlink(missing_ok=True)


def debuggers(settings: Settings, name: str, swap: Swap) -> list[Identity]:
    """Return the living Delve processes of a swap, also one whose identity was not noted yet."""
    noted = [swap.debugger] if swap.debugger else []
    found = process.marked(process.mark(f"dlv-{name}", settings.paths.instance))
    if swap.mode == "debug-exec":
        marked = process.marked(process.mark(name, settings.paths.instance))
        found += [one for one in marked if procfs.argv_of(one.pid)[1:2] == ("exec",)]
    return [one for one in dict.fromkeys([*noted, *found]) if one.alive()]


def mode(swap: Swap | None) -> str:
    """Return how a component runs, in one word, as the processes themselves tell it."""
    if swap is None:
        return "normal"
    return f"{swap.mode}?" if swap.broken else swap.mode


def is_paused(record: Record | None) -> bool:
    """Tell whether a component stands still at this moment, without touching it."""
    return record is not None and record.alive() and delve.paused(record.identity.pid)


def describe(name: str, record: Record | None, swap: Swap | None) -> str:
    """Say where a debugged component stands, without halting it."""
    if swap is None:
        return ""
    if swap.broken:
        return f"lost its debugger: doit undebug:{name}"
    if record is None or not is_paused(record):
        return f"{swap.listen} running"
    seconds = paused_seconds(record.identity.pid)
    since = "" if seconds is None else f" for about {console.duration(seconds)}"
    with suppress(Failure), delve.Delve(swap.local, timeout=5.0) as client:
        stop = client.state().stop
        if stop is not None:
            return f"{swap.listen} paused at {stop.file}:{stop.line} in {stop.function}{since}"
    return f"{swap.listen} paused{since}"


def paused_seconds(pid: int) -> float | None:
    """Return the seconds since any thread of a process ran, as the scheduler's clocks have it.

    Every processor has such a clock of its own, which leaves out time the machine itself was
    kept waiting: each thread is compared with the clock of the processor it ran on, and the
    figure is a rough one. None where the kernel does not tell (it is built without
    CONFIG_SCHED_DEBUG) or keeps this program from that processor.
    """
    runs: dict[int, float] = {}
    for thread in procfs.threads(pid):
        stat = procfs.stat(thread)
        if stat is not None:
            ran = _last_run(thread)
            runs[stat.processor] = max(runs.get(stat.processor, 0.0), ran)
    if not any(runs.values()):
        return None
    allowed = os.sched_getaffinity(0)
    try:
        return max(0.0, min(_sched_clock(on) - ran for on, ran in runs.items())) / 1000
    except OSError:
        return None
    finally:
        os.sched_setaffinity(0, allowed)


def _sched_clock(processor: int) -> float:
    os.sched_setaffinity(0, {processor})
    return _last_run(Path("/proc/thread-self"))


def _last_run(thread: Path) -> float:
    for line in procfs.read(thread / "sched").splitlines():
        if line.startswith("se.exec_start"):
            return float(line.rpartition(":")[2])
    return 0.0


def modes() -> Sequence[tuple[str, str]]:
    """Return the modes a user can choose, with their meaning."""
    return MODES
