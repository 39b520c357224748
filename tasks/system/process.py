"""Processes of the cluster: spawn, identity, stop ladder, readiness, ports.

A process is identified by boot, pid and start time in clock ticks, never by pid or name alone, and
is signalled through a pidfd, so that a pid that was given to somebody else is never hit. See
proc(5) and pidfd_open(2).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tasks.failure import Failure
from tasks.system import files
from tasks.system.run import tell

Mode = Literal["normal", "debug-attach", "debug-exec"]
MARK = "STEPKUBE_COMPONENT"
PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER")
_ROUNDS = 5
KILL = ((signal.SIGKILL, 10.0),)
LADDER = ((signal.SIGTERM, 2.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0))


@dataclass(frozen=True)
class Identity:
    """One process for all time: the boot it belongs to, its pid and its start in clock ticks."""

    boot: str
    pid: int
    ticks: int

    def alive(self) -> bool:
        """Tell whether this very process exists and is not a zombie."""
        stat = _stat(self.pid)
        return (
            self.boot == boot_id()
            and stat is not None
            and stat.ticks == self.ticks
            and stat.state not in "ZX"
        )


@dataclass(frozen=True)
class Record:
    """What is known of a component's process; written to disk before anything depends on it.

    `uid` is the user, `since` the epoch seconds of the start, `fingerprint` the digest of
    everything the process was started from, `log` the file its output is appended to.
    """

    component: str
    identity: Identity
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    uid: int
    exe: str
    since: float
    fingerprint: str
    log: str
    mode: Mode = "normal"

    def alive(self) -> bool:
        """Tell whether the recorded process still runs the recorded program."""
        if not self.identity.alive():
            return False
        exe = executable(self.identity.pid)
        return exe is None or exe == self.exe


def spawn(
    component: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path,
    log: Path,
    fingerprint: str,
) -> Record:
    """Start a process in a session of its own, its output appended to `log`.

    Raises Failure when the program cannot be executed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    cwd.mkdir(parents=True, exist_ok=True)
    tell(argv)
    with log.open("ab") as out:
        try:
            child = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"cannot start {component}: {argv[0]}: {error.strerror}") from error
    child.returncode = 0  # it outlives us on purpose: nobody is to wait for it or warn about it
    identity = identify(child.pid)
    if identity is None:
        raise Failure(f"{component} ended at once\n{tail(log)}", f"read {log}")
    # execve(2) has succeeded, but for a moment /proc still shows neither argv nor environment
    until(lambda: bool(argv_of(child.pid)), identity.alive, 5.0, every=0.001)
    return Record(
        component=component,
        identity=identity,
        argv=tuple(argv),
        env=dict(env),
        cwd=str(cwd),
        uid=os.getuid(),
        exe=executable(child.pid) or str(Path(argv[0]).resolve()),
        since=time.time(),
        fingerprint=fingerprint,
        log=str(log),
    )


def environment(component: str, instance: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the small, explicit environment of a component, marked as ours."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    home = {"XDG_CONFIG_HOME": str(config_home(instance))}
    return {**passed, **home, **extra, MARK: mark(component, instance)}


def config_home(instance: Path) -> Path:
    """Return where programs keep their own settings: in the workspace, not in the user's home."""
    return instance / "config" / "home"


def mark(component: str, instance: Path) -> str:
    """Return the value by which a process of an instance is found when its record is missing."""
    return f"{instance}:{component}"


def record_path(run: Path, component: str) -> Path:
    """Return where a component's record lies."""
    return run / f"{component}.json"


def save(run: Path, record: Record) -> None:
    """Write a record, readable by its owner only: an environment may hold secrets."""
    files.write_json(record_path(run, record.component), asdict(record), 0o600)


def load(run: Path, component: str) -> Record | None:
    """Return a component's record, or None when there is none."""
    value: dict[str, Any] | None = files.read_json(record_path(run, component))
    if value is None:
        return None
    try:
        identity = Identity(**value.pop("identity"))
        argv = tuple(value.pop("argv"))
        return Record(identity=identity, argv=argv, **value)
    except (KeyError, TypeError) as error:
        path = record_path(run, component)
        raise Failure(f"{path} is not a record of this version: {error}", f"rm {path}") from error


def forget(run: Path, component: str) -> None:
    """Remove a component's record."""
    record_path(run, component).unlink(missing_ok=True)


def with_mode(record: Record, mode: Mode) -> Record:
    """Return the same record in another mode."""
    return replace(record, mode=mode)


def stop(identity: Identity, ladder: Sequence[tuple[int, float]] = LADDER) -> bool:
    """End a process by a ladder of (signal, seconds to wait); True when it is gone.

    A second SIGTERM makes a Kubernetes component exit at once even with watchers connected.
    """
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if not identity.alive():
            return True
        for number, limit in ladder:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if _gone(handle, identity, limit):
                return True
        return not identity.alive()
    finally:
        os.close(handle)


def send(identity: Identity, number: int) -> None:
    """Signal a process if it is still the one that is meant."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(identity.pid)
        try:
            if identity.alive():
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def wait_gone(identity: Identity, limit: float) -> bool:
    """Wait up to `limit` seconds for a process to end; True when it has."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        return not identity.alive() or _gone(handle, identity, limit)
    finally:
        os.close(handle)


def identify(pid: int) -> Identity | None:
    """Return the identity of a running pid, or None when there is no such process."""
    stat = _stat(pid)
    return None if stat is None or stat.state in "ZX" else Identity(boot_id(), pid, stat.ticks)


def boot_id() -> str:
    """Return the id of this boot of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def executable(pid: int) -> str | None:
    """Return the path of a process's program, or None when it may not be read."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)")
    except OSError:
        return None


def argv_of(pid: int) -> tuple[str, ...]:
    """Return the argument list of a process, byte for byte, as /proc has it."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(word) for word in raw.split(b"\0")[:-1])


def environ_of(pid: int) -> dict[str, str]:
    """Return the environment a process was started with, as /proc has it."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(word).partition("=") for word in raw.split(b"\0") if b"=" in word)
    return {name: value for name, _, value in pairs}


def marked(value: str) -> list[Identity]:
    """Return every process whose environment carries a mark: found even without a record."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and environ_of(int(entry.name)).get(MARK) == value:
            identity = identify(int(entry.name))
            if identity is not None:
                found.append(identity)
    return found


def end_marked(value: str, ladder: Sequence[tuple[int, float]], spare: Sequence[Identity]) -> bool:
    """End every process that carries a mark but those to spare; True when one ran.

    Looked for again until there is none: a Delve that is being ended may just start its program.
    """
    ran = False
    for _ in range(_ROUNDS):
        found = [one for one in marked(value) if one not in spare]
        if not found:
            break
        for one in found:
            ran = stop(one, ladder) or ran
    return ran


def children(pid: int) -> list[int]:
    """Return the pids of a process's direct children."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


def tail(log: Path, lines: int = 15, start: int = 0) -> str:
    """Return the last lines of a log, of what was written after byte `start`."""
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(start, size - 64 * 1024))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:])


def until(
    ready: Callable[[], bool], alive: Callable[[], bool], limit: float, every: float = 0.1
) -> bool:
    """Poll `ready` until it holds (True), the process dies or `limit` seconds pass (False)."""
    end = time.monotonic() + limit
    while alive():
        if ready():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(every)
    return False


@dataclass(frozen=True)
class _Stat:
    state: str
    ticks: int


def _stat(pid: int) -> _Stat | None:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return _Stat(words[0], int(words[19]))


def _gone(handle: int, identity: Identity, limit: float) -> bool:
    """Wait on a pidfd; a zombie that nobody reaps counts as gone.

    The pidfd of a traced process stays silent until its tracer has reaped every thread, so the
    process itself is looked at as well.
    """
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    end = time.monotonic() + limit
    while identity.alive():
        left = end - time.monotonic()
        if left <= 0:
            return False
        poll.poll(min(left, 0.05) * 1000)
    return True
