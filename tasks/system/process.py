"""Processes of the cluster: start, record on disk, find by record or by mark; see signals.py."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from tasks.core.errors import Failure
from tasks.system import exits, files, go_stacks, inherited, procfs, signals, state
from tasks.system.procfs import Identity
from tasks.system.run import announce

Mode = Literal["normal", "debug-attach", "debug-exec"]
MARK = "STEPKUBE_COMPONENT"
_ROUNDS, _WIDTH = 5, 400  # cAdvisor logs lines of 7000 characters


@dataclass(frozen=True)
class Record:
    """A component's process; the record is written to disk before anything depends on it."""

    component: str
    identity: Identity
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    uid: int
    """The user id that it runs as."""
    exe: str
    since: float
    """When it was started, in epoch seconds."""
    fingerprint: str
    """The digest of everything it is started with; if that changes, the process is restarted."""
    log: str
    """The file that its output is appended to."""
    mode: Mode = "normal"

    def alive(self) -> bool:
        """Return whether the recorded process still runs the recorded program."""
        if not self.identity.alive():
            return False
        exe = procfs.executable(self.identity.pid)
        return exe is None or exe == self.exe


def spawn(
    component: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path,
    log: Path,
    fingerprint: str,
    umask: int = 0o077,
    exit_file: Path | None = None,
) -> Record:
    """Start a process in a new session, append its output to `log`, and return its record.

    With `exit_file`, the file says how it exited. Raises Failure when the program cannot be
    executed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    cwd.mkdir(parents=True, exist_ok=True)
    announce(argv)
    written = files.size(log)
    try:
        pid = exits.start(component, argv, env, cwd=cwd, log=log, umask=umask, exit_file=exit_file)
    except OSError as error:
        if error.filename not in (None, argv[0]):  # the log
            raise
        raise Failure(f"cannot start {component}: {argv[0]}: {error.strerror}") from error
    identity = procfs.identify(pid)
    if identity is None:
        words = tail(log, start=written)
        raise Failure(f"{component} exited immediately\n{words}", f"read {log}")
    # after execve(2), /proc shows neither argv nor environment for a moment
    until(lambda: bool(procfs.argv_of(pid)), identity.alive, 5.0, every=0.001)
    return Record(
        component=component,
        identity=identity,
        argv=tuple(argv),
        env=dict(env),
        cwd=str(cwd),
        uid=os.getuid(),
        exe=procfs.executable(pid) or str(Path(argv[0]).resolve()),
        since=time.time(),
        fingerprint=fingerprint,
        log=str(log),
    )


def wait_for_program(
    outer: Record, argv: tuple[str, ...], candidates: Callable[[], Iterable[int]], limit: float
) -> Record | None:
    """Wait for the program that `outer` (such as unshare) starts, and return its record.

    The program is the pid of `candidates` that runs `argv`. None when `outer` exits, or `limit`
    seconds pass, before it runs.
    """
    found: list[Identity] = []

    def runs() -> bool:
        programs = (pid for pid in candidates() if procfs.argv_of(pid) == argv)
        found[:] = filter(None, map(procfs.identify, programs))
        return bool(found)

    if not until(runs, outer.identity.alive, limit, every=0.02):
        return None
    exe = procfs.executable(found[0].pid) or argv[0]
    return replace(outer, identity=found[0], argv=argv, exe=exe)


def environment(component: str, instance: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the small, explicit environment of a component, with its mark."""
    home = {"XDG_CONFIG_HOME": str(config_home(instance))}
    return {**inherited.environment(), **home, **extra, MARK: mark(component, instance)}


def config_home(instance: Path) -> Path:
    """Return XDG_CONFIG_HOME of the components: in the workspace, not in the user's home."""
    return instance / "config" / "home"


def mark(component: str, instance: Path) -> str:
    """Return the mark of a process: its value of MARK, to find it if its record is missing."""
    return f"{instance}:{component}"


def record_path(run: Path, component: str) -> Path:
    """Return the path of a component's record."""
    return run / f"{component}.json"


def save(run: Path, record: Record) -> None:
    """Write a record that only its owner can read: the environment may contain secrets."""
    files.write_json(record_path(run, record.component), asdict(record), 0o600)


def load(run: Path, component: str) -> Record | None:
    """Return a component's record, or None when it does not exist.

    A damaged record is set aside. It is made again if the process runs.
    """
    return state.load(
        record_path(run, component),
        Record,
        lambda record: record.component == component and bool(record.argv),
        rebuild=partial(_find, run, component),
    )


def _find(run: Path, component: str) -> Record | None:
    """Return a new record of a running component, which is found by its mark.

    The fingerprint is not known: the next `up` restarts the component.
    """
    identity = procfs.main_process(marked(mark(component, run.parent)))
    if identity is None:
        return None
    pid, log = identity.pid, run.parent / "logs" / f"{component}.log"
    return Record(
        component=component,
        identity=identity,
        argv=procfs.argv_of(pid),
        env=procfs.environ_of(pid),
        cwd=procfs.link(pid, "cwd") or str(run / component),
        uid=os.getuid(),
        exe=procfs.executable(pid) or procfs.argv_of(pid)[0],
        since=procfs.start_time(pid) or time.time(),
        fingerprint="",
        log=procfs.link(pid, "fd/1") or str(log),
    )


def forget(run: Path, component: str) -> None:
    """Remove a component's record, and how it exited."""
    exit_file = exits.path(run, component)
    for path in (record_path(run, component), exits.part(exit_file), exit_file):
        files.remove(path)


def with_mode(record: Record, mode: Mode) -> Record:
    """Return the same record in another mode."""
    return replace(record, mode=mode)


def marked(value: str) -> list[Identity]:
    """Return the identities of all processes whose environment has this mark."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - a Path per process
        if value not in procfs.read(Path("/proc", name, "environ")):
            continue
        if procfs.environ_of(int(name)).get(MARK) == value:
            identity = procfs.identify(int(name))
            if identity is not None:
                found.append(identity)
    return found


def stop_marked(value: str, ladder: Sequence[tuple[int, float]], keep: Sequence[Identity]) -> bool:
    """Stop every process that has a mark, except those in `keep`; return whether one ran.

    It searches several times: a Delve that is being stopped may start its program.
    """
    ran = False
    for _ in range(_ROUNDS):
        found = [identity for identity in marked(value) if identity not in keep]
        if not found:
            break
        for identity in found:
            ran = signals.stop(identity, ladder) or ran
    return ran


def tail(log: Path, lines: int = 15, start: int = 0) -> str:
    """Return the last lines of a log that were written after byte `start`, as quoted text."""
    return "\n".join(f"  | {line[:_WIDTH]}" for line in last_lines(log, lines, start))


def last_lines(log: Path, lines: int, start: int = 0) -> tuple[str, ...]:
    """Return the last lines of a log after byte `start`, without the stacks at its end."""
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            written = start if start <= size else 0  # else reaper.py has moved the older part
            stream.seek(max(written, size - 1024 * 1024))
            text = stream.read().lstrip(b"\0").decode(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(go_stacks.without_stacks(text)[-lines:])


def until(
    ready: Callable[[], bool], alive: Callable[[], bool], limit: float, every: float = 0.05
) -> bool:
    """Poll `ready` until it is true (True), the process exits or `limit` seconds pass (False)."""
    deadline = time.monotonic() + limit
    while alive():
        if ready():
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)
    return False
