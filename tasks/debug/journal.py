"""Journal of a debug swap: its options and last step; also whether the component is paused.

The journal is a file that is written before each step. If stepkube, Delve or the component dies
between two steps, `status` is still correct and `swap.leave` can still restore the component.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

from tasks import delve
from tasks.components.registry import debug_port
from tasks.core import console
from tasks.core.errors import Failure
from tasks.settings.load import Settings
from tasks.system import files, process, procfs, state
from tasks.system.process import Mode, Record
from tasks.system.procfs import Identity

Step = Literal["entering", "ready", "leaving"]
MODES = (
    ("attach", "attach to the running process"),
    ("exec", "restart it under Delve, for main() and start-up code"),
)
"""Values of --mode, each with its help text."""


@dataclass(frozen=True)
class Swap:
    """A debug swap of one component; the fields are the JSON keys of the journal."""

    mode: Mode
    listen: str
    """Address and port on which Delve listens."""
    hold: bool = False
    """Whether the component stays paused until a client resumes it."""
    any_user: bool = False
    """Whether other users of this machine can connect."""
    firewall: tuple[str, ...] = ()
    """Argv of the command that closes the opened port; empty if none was opened."""
    step: Step = "entering"
    debugger: Identity | None = None
    """The Delve process; None until it is started."""

    @property
    def broken(self) -> bool:
        """Whether the swap was interrupted, or its debugger died."""
        return self.step != "ready" or self.debugger is None or not self.debugger.alive()

    @property
    def port(self) -> int:
        """Port on which Delve listens."""
        return int(self.listen.rpartition(":")[2])

    @property
    def local(self) -> str:
        """Address of Delve for clients on this machine."""
        host = self.listen.rpartition(":")[0]
        return f"127.0.0.1:{self.port}" if host in ("0.0.0.0", "[::]", "") else self.listen  # noqa: S104


def request(settings: Settings, name: str, mode: Mode, *, hold: bool = False) -> Swap:
    """Return a new swap that listens on the component's debug port on loopback."""
    return Swap(mode, f"127.0.0.1:{debug_port(settings, name)}", hold)


def as_mode(option: str) -> Mode:
    """Return the mode for a value of --mode: debug-attach for attach."""
    return cast("Mode", f"debug-{option}")


def path(settings: Settings, name: str) -> Path:
    """Return the path of a component's journal."""
    return settings.paths.swap / f"{name}.json"


def load(settings: Settings, name: str) -> Swap | None:
    """Return the swap in a component's journal, or None if the component is not being debugged.

    A damaged journal is set aside. It is made again if the component runs: it is under Delve, or
    has breakpoints that a dead Delve left.
    """
    return state.load(
        path(settings, name),
        Swap,
        lambda swap: is_address(swap.listen),
        rebuild=partial(_find, settings, name),
    )


def is_address(listen: str) -> bool:
    """Return whether a text is `address:port`."""
    port = listen.rpartition(":")[2]
    return port.isascii() and port.isdecimal() and 0 < int(port) < 65536


def _find(settings: Settings, name: str) -> Swap | None:
    """Return a new journal of a swap, from its Delve; a broken one if Delve does not run."""
    record = process.load(settings.paths.run, name)
    if record is None or not record.alive():
        return None
    listen = f"127.0.0.1:{debug_port(settings, name)}"
    for debugger in debuggers(settings, name, Swap("debug-exec", listen)):
        argv = procfs.argv_of(debugger.pid)
        flags = argv[: argv.index("--")] if "--" in argv else argv
        values = dict(item.partition("=")[::2] for item in flags)
        return Swap(
            "debug-exec" if argv[1:2] == ("exec",) else "debug-attach",
            values.get("--listen", listen),
            any_user=values.get("--only-same-user") == "false",
            step="ready",
            debugger=debugger,
        )
    return Swap("debug-attach", listen, step="leaving", debugger=Identity("", 0, 0))


def write(settings: Settings, name: str, swap: Swap) -> None:
    """Write the journal of a component."""
    files.write_json(path(settings, name), asdict(swap), 0o600)


def remove(settings: Settings, name: str) -> None:
    """Remove the journal of a component."""
    files.remove(path(settings, name))


def debuggers(settings: Settings, name: str, swap: Swap) -> list[Identity]:
    """Return the running Delve processes of a swap, including one not yet in the journal."""
    recorded = [swap.debugger] if swap.debugger else []
    found = process.marked(process.mark(f"dlv-{name}", settings.paths.instance))
    if swap.mode == "debug-exec":
        marked = process.marked(process.mark(name, settings.paths.instance))
        found += [one for one in marked if procfs.argv_of(one.pid)[1:2] == ("exec",)]
    return [one for one in dict.fromkeys([*recorded, *found]) if one.alive()]


def mode(swap: Swap | None) -> str:
    """Return the mode of a component, followed by ? if its swap is broken."""
    if swap is None:
        return "normal"
    return f"{swap.mode}?" if swap.broken else swap.mode


def is_paused(record: Record | None) -> bool:
    """Return whether a component is paused now; only reads /proc."""
    return record is not None and record.alive() and delve.paused(record.identity.pid)


def describe(name: str, record: Record | None, swap: Swap | None) -> str:
    """Return the state of a debugged component as text, without halting it.

    Empty if the component is not being debugged.
    """
    if swap is None:
        return ""
    if swap.broken:
        return f"lost its debugger: doit undebug:{name}"
    if record is None or not record.alive():
        return f"{swap.listen} has no process: doit undebug:{name}"
    if not is_paused(record):
        return f"{swap.listen} running"
    seconds = paused_seconds(record.identity.pid)
    since = "" if seconds is None else f" for about {console.duration(seconds)}"
    with suppress(Failure), delve.Delve(swap.local, timeout=5.0) as client:
        stop = client.state().stop
        if stop is not None:
            return f"{swap.listen} paused at {stop.file}:{stop.line} in {stop.function}{since}"
    return f"{swap.listen} paused{since}"


def paused_seconds(pid: int) -> float | None:
    """Return the seconds since a thread of a process last ran, by the scheduler's clocks.

    The time is se.exec_start in /proc/PID/sched. Each processor has its own clock (sched_clock),
    which excludes steal time of a virtual machine; so each thread is compared with the clock of the
    processor it ran on, and the result is approximate. None if the kernel was built without
    CONFIG_SCHED_DEBUG, or if this program may not run on that processor.
    """
    last_runs: dict[int, float] = {}
    for thread in procfs.threads(pid):
        stat = procfs.stat(thread)
        if stat is not None:
            last = max(last_runs.get(stat.processor, 0.0), _last_run(thread))
            last_runs[stat.processor] = last
    if not any(last_runs.values()):
        return None
    allowed = os.sched_getaffinity(0)
    try:
        ages = [_sched_clock(processor) - last for processor, last in last_runs.items()]
        return max(0.0, min(ages)) / 1000
    except OSError:
        return None
    finally:
        os.sched_setaffinity(0, allowed)


def _sched_clock(processor: int) -> float:
    """Return the clock of a processor in milliseconds: when this thread, moved to it, last ran."""
    os.sched_setaffinity(0, {processor})
    return _last_run(Path("/proc/thread-self"))


def _last_run(thread: Path) -> float:
    for line in procfs.read(thread / "sched").splitlines():
        if line.startswith("se.exec_start"):
            return float(line.rpartition(":")[2])
    return 0.0


def modes() -> Sequence[tuple[str, str]]:
    """Return the values of --mode, each with its help text."""
    return MODES
